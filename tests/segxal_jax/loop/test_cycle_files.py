"""What stages leave for each other: whole and sensible, or refused."""

import dataclasses
import json
import math

import numpy as np
import pytest

from common_lib import checksums, files
from common_lib.errors import UserError
from segxal_jax.loop import cycle_files, stage_timings
from segxal_jax.queries.error_counts import Counts
from segxal_jax.report import metrics_json

HUGE = 10**400


def _dataset(**changes):
  segmentation = {'miou': 0.5, 'iou': {'road': 1.0, 'sky': None}, 'other': 7}
  return {'images': 4, 'pixels': 90, 'segmentation': segmentation | changes}


def _metrics(cycle=1, **changes):
  return {
    'cycle': cycle,
    'labelled_images': 4,
    'pool_images': 20,
    'cost': {'images': 4, 'pixels': 90, 'clicks': 12},
    'training_labels': {'pixels': 90, 'wrong': 1},
    'datasets': {'streets/day': _dataset()},
    'validation': None,
  } | changes


def test_metrics_come_back(tmp_path):
  for cycle in (1, 2):
    cycle_files.write_metrics(tmp_path, cycle, _metrics(cycle))
  assert cycle_files.read_metrics(tmp_path, 2) == _metrics(2)
  assert [entry['cycle'] for entry in metrics_json.cycles(tmp_path)] == [1, 2]


TIMED = {'images': 4, 'pixels': 90, 'clicks': 12}
TIMED |= {'seconds': 31.5, 'timed_clicks': 8}


def test_measured_time_comes_back(tmp_path):
  cycle_files.write_metrics(tmp_path, 1, _metrics(cost=TIMED))
  assert cycle_files.read_metrics(tmp_path, 1)['cost'] == TIMED


NEAR = {'meters': 15.0, 'pixels': 9, 'miou': 0.25}


@pytest.mark.parametrize('miou', [0.25, None])
def test_near_pixels_come_back(tmp_path, miou):
  entry = _dataset() | {'near': NEAR | {'miou': miou}}
  metrics = _metrics(datasets={'streets/day': entry})
  cycle_files.write_metrics(tmp_path, 1, metrics)
  assert cycle_files.read_metrics(tmp_path, 1) == metrics


@pytest.mark.parametrize(
  'changes',
  [
    {'cycle': 2},
    {'cycle': True},
    {'labelled_images': 21},
    {'labelled_images': 4.0},
    {'pool_images': HUGE},
    {'pool_images': '20'},
    {'cost': []},
    {'cost': {'images': 4, 'pixels': 90}},
    {'cost': {'images': 4, 'pixels': 90, 'clicks': -1}},
    {'cost': TIMED | {'seconds': '31'}},
    {'cost': TIMED | {'timed_clicks': 13}},
    {'cost': {'images': 4, 'pixels': 90, 'clicks': 12, 'seconds': 31.5}},
    {'training_labels': {'pixels': 90, 'wrong': None}},
    {'datasets': ['streets/day']},
    {'datasets': {'a': None}},
    {'datasets': {'a': {'images': 4, 'pixels': 90}}},
    {'datasets': {'a': _dataset(miou='0.5')}},
    {'datasets': {'a': _dataset(miou=1.5)}},
    {'datasets': {'a': _dataset(iou=[1.0])}},
    {'datasets': {'a': _dataset(iou={'road': -0.1})}},
    {'datasets': {'a': _dataset(iou={'road': True})}},
    {'datasets': {'a': _dataset() | {'near': None}}},
    {'datasets': {'a': _dataset() | {'near': {'meters': 15.0, 'pixels': 9}}}},
    {'datasets': {'a': _dataset() | {'near': NEAR | {'miou': 1.5}}}},
    {'datasets': {'a': _dataset() | {'near': NEAR | {'pixels': 0.5}}}},
    {'datasets': {'a': _dataset() | {'near': NEAR | {'meters': -1.0}}}},
    {'datasets': {'a': _dataset() | {'far': NEAR}}},
    {'validation': {}},
    {'more': 1},
  ],
)
def test_metrics_that_make_no_sense(tmp_path, changes):
  cycle_files.write_metrics(tmp_path, 1, _metrics(**changes))
  with pytest.raises(UserError, match='001/metrics.json.*is damaged.*restore'):
    cycle_files.read_metrics(tmp_path, 1)


@pytest.mark.parametrize('value', ['NaN', 'Infinity', '1e999', '9' * 5000])
def test_numbers_that_are_none(tmp_path, value):
  text = json.dumps(_metrics()).replace('"miou": 0.5', f'"miou": {value}')
  (tmp_path / 'cycles/001').mkdir(parents=True)
  (tmp_path / 'cycles/001/metrics.json').write_text(text)
  with pytest.raises(UserError, match='metrics.json'):
    cycle_files.read_metrics(tmp_path, 1)


def test_a_measured_cycle_that_is_missing_is_named(tmp_path):
  for cycle in (1, 2, 3):
    cycle_files.write_metrics(tmp_path, cycle, _metrics(cycle))
  position = tmp_path / 'position.json'
  files.write_json(position, {'cycle': 3, 'stage': 'done'})
  for cycle in (2, 3):
    path = tmp_path / f'cycles/{cycle:03d}/metrics.json'
    content = path.read_bytes()
    path.unlink()
    with pytest.raises(UserError, match=f'{cycle:03d}/metrics.json'):
      metrics_json.cycles(tmp_path)
    path.write_bytes(content)
  # A cycle that is still in training has measured nothing yet.
  files.write_json(position, {'cycle': 4, 'stage': 'train'})
  assert len(metrics_json.cycles(tmp_path)) == 3


def test_weights_come_back_and_damage_says_what_to_do(tmp_path):
  weights = {'pae': 0.25, 'entropy': 0.75, 'failure': 0.0}
  value = {'weights': weights, 'pixels': 10, 'images': 2}
  cycle_files.write_weights(tmp_path, 1, value)
  assert cycle_files.read_weights(tmp_path, 1) == weights
  path = tmp_path / 'cycles' / '001' / 'weights.json'
  for damage in (
    {'weights': weights | {'pae': math.nan}},
    {'weights': weights | {'pae': -0.25}},
    {'weights': weights | {'pae': True}},
    {'weights': weights | {'pae': HUGE}},
    {'weights': {'pae': 1.0}},
    {'weights': [0.25, 0.75, 0.0]},
    {'checksum': '0' * 64},
  ):
    path.write_text(json.dumps(value | damage))
    with pytest.raises(UserError, match='weights.json.*delete .*position.json'):
      cycle_files.read_weights(tmp_path, 1)
  path.unlink()
  with pytest.raises(UserError, match='No such file.*delete .*position.json'):
    cycle_files.read_weights(tmp_path, 1)


COUNTS = Counts(2, 90, 10, 20, 5, {'cam': 1.5, 'perfect': 9.0})


def test_where_errors_lie_comes_back_and_damage_says_what_to_do(tmp_path):
  assert not cycle_files.has_errors(tmp_path, 1)
  for counts in (None, COUNTS):
    cycle_files.write_errors(tmp_path, 1, counts)
    assert cycle_files.has_errors(tmp_path, 1)
    assert cycle_files.read_errors(tmp_path, 1) == counts
  value = dataclasses.asdict(COUNTS)
  path = tmp_path / 'cycles' / '001' / 'errors.json'
  for damage in (
    {'images': -1},
    {'errors': 91},
    {'asked_errors': 11},
    {'asked_pixels': 91},
    {'asked_pixels': 4},
    {'inside': {'cam': 10.5}},
    {'inside': {'cam': math.nan}},
    {'inside': {'thermal': 1.0}},
    {'inside': [1.0]},
    {'more': 1},
  ):
    path.write_text(json.dumps({'counts': value | damage}))
    with pytest.raises(UserError, match='errors.json.*is damaged.*delete it'):
      cycle_files.read_errors(tmp_path, 1)
  path.write_text(json.dumps({'counts': value, 'checksum': '0' * 64}))
  with pytest.raises(UserError, match='checksum.*delete it'):
    cycle_files.read_errors(tmp_path, 1)


INDEX = np.array([1, 4, 9])
SCORES = {
  'index': INDEX,
  'entropy': np.array([0.1, 0.2, 0.3]),
  'embedding': np.zeros((3, 5), np.float32),
  'centres': np.zeros((2, 5), np.float32),
}


def test_scores_come_back(tmp_path):
  cycle_files.write_scores(tmp_path, 1, SCORES)
  found = cycle_files.read_scores(tmp_path, 1, 10, ('entropy',))
  assert found.keys() == SCORES.keys()
  for name, array in SCORES.items():
    np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize(
  'changes',
  [
    {'index': INDEX.astype(float)},
    {'index': INDEX[::-1]},
    {'index': np.array([1, 1, 9])},
    {'index': np.array([-1, 4, 9])},
    {'index': np.array([1, 4, 10])},
    {'index': INDEX[None]},
    {'index': INDEX[:2]},
    {'entropy': np.zeros((3, 1))},
    {'entropy': np.zeros(4)},
    {'entropy': None},
    {'embedding': np.zeros(3)},
    {'centres': np.zeros(3)},
  ],
)
def test_scores_that_make_no_sense(tmp_path, changes):
  arrays = {k: v for k, v in (SCORES | changes).items() if v is not None}
  cycle_files.write_scores(tmp_path, 1, arrays)
  with pytest.raises(UserError, match='scores.npz.*delete .*position.json'):
    cycle_files.read_scores(tmp_path, 1, 10, ('entropy',))


def test_older_files_have_no_checksum(tmp_path):
  cycle_files.write_metrics(tmp_path, 1, _metrics())
  path = tmp_path / 'cycles/001/metrics.json'
  value = json.loads(path.read_text())
  assert value.pop(checksums.FIELD)
  path.write_text(json.dumps(value))
  assert cycle_files.read_metrics(tmp_path, 1) == _metrics()


def test_timings_that_make_no_sense_are_passed_over(tmp_path):
  stage_timings.add(tmp_path, 1, 'train', 5.0)
  lines = [
    b'[]',
    b'7',
    b'\xff',
    b'[' * 100_000,
    b'{"cycle": 1, "stage": "train"}',
    b'{"cycle": [], "stage": "train", "seconds": 1}',
    b'{"cycle": 1, "stage": {}, "seconds": 1}',
    b'{"cycle": 1, "stage": "train", "seconds": NaN}',
    b'{"cycle": 1, "stage": "train", "seconds": -1}',
    b'{"cycle": 1, "stage": "train", "seconds": true}',
    b'{"cycle": 1, "stage": "train", "seconds": ' + b'9' * 400 + b'}',
  ]
  with (tmp_path / 'timings.jsonl').open('ab') as file:
    file.write(b'\n'.join(lines) + b'\n')
  stage_timings.add(tmp_path, 1, 'explain', 2.0)
  assert stage_timings.read(tmp_path) == {1: {'train': 5.0, 'explain': 2.0}}
