"""Damaged results of a comparison are made anew, not shown."""

import json

import numpy as np
import pytest

from fsnet_jax.experiments import ablation, comparison
from fsnet_jax.experiments.comparison import (
  cells,
  evaluation,
  partial_results,
)
from fsnet_jax.runtime.interrupts import Interrupted
from tests.fsnet_jax.experiments.comparison_stand_ins import DATASETS, read

DAY = DATASETS[0]
POOLED = ('datasets', DAY, 'failure', 'msp', 'pooled')


def _put(path, keys, value):
  """Writes another value at a path of keys of a JSON file."""
  content = read(path)
  *parents, last = keys
  node = content
  for key in parents:
    node = node[key]
  if value is ...:
    del node[last]
  else:
    node[last] = value
  path.write_text(json.dumps(content))


@pytest.mark.parametrize(
  ('file', 'keys', 'value'),
  [
    ('comparison.json', ('segments',), ...),
    ('comparison.json', ('segments',), [1]),
    ('comparison.json', ('segments', DAY), 7),
    ('comparison.json', ('segments', DAY, 'msp'), ...),
    ('comparison.json', ('segments', DAY, 'msp', '0.1'), {}),
    ('comparison.json', ('segments', DAY, 'msp', '0.1', 'f1'), 'much'),
    ('comparison.json', ('segments', DAY, 'msp', '0.1', 'f1'), 10**400),
    ('comparison.json', ('resolution', DAY, 'msp', 'auroc'), [0.1]),
    ('comparison.json', ('resolution', DAY, 'msp', 'auroc'), ...),
    ('comparison.json', ('settings',), [[[]]]),
    ('metrics.json', ('datasets',), {}),
    ('metrics.json', ('datasets', DAY), None),
    ('metrics.json', POOLED, [1, 2]),
    ('metrics.json', (*POOLED, 'auroc'), 'high'),
    ('metrics.json', (*POOLED, 'auroc'), 10**400),
    ('metrics.json', (*POOLED[:-1], 'image_mean'), ...),
    ('metrics.json', (*POOLED[:-1], 'caught_at_budget'), {'0.1': {}}),
    ('../../phase1/report/metrics.json', POOLED, None),
  ],
)
def test_damaged_results_are_made_anew(own, file, keys, value):
  config, workdir = own
  report = workdir / 'seed5/fsnet/report'
  assert evaluation.read_seed(config, 5, workdir) is not None
  _put(report / file, keys, value)
  assert evaluation.read_seed(config, 5, workdir) is None


@pytest.mark.parametrize(
  'text', ['', '[]', '{"settings": ', '[' * 100_000, '9' * 5000]
)
def test_results_that_are_no_object_are_made_anew(own, text):
  config, workdir = own
  report = workdir / 'seed5/fsnet/report'
  for file in ('comparison.json', 'metrics.json'):
    whole = (report / file).read_text()
    (report / file).write_text(text)
    assert evaluation.read_seed(config, 5, workdir) is None
    (report / file).write_text(whole)
  assert evaluation.read_seed(config, 5, workdir) is not None


def test_draws_that_are_damaged_or_of_others_are_made_anew(own):
  config, workdir = own
  path = workdir / 'seed5/fsnet/report/images_streets_day.npz'
  whole = path.read_bytes()
  with np.load(path) as arrays:
    kept = dict(arrays)
  draws = kept['draws/msp']
  for other in (draws[:3], draws[:, :7], draws.astype(np.float32), draws[0]):
    np.savez(path, **kept | {'draws/msp': other})
    assert evaluation.read_seed(config, 5, workdir) is None
  np.savez(path, **{k: v for k, v in kept.items() if k != 'draws/msp'})
  assert evaluation.read_seed(config, 5, workdir) is None
  for cut in (0, 10, len(whole) // 2, len(whole) - 1):
    path.write_bytes(whole[:cut])
    assert evaluation.read_seed(config, 5, workdir) is None
  path.write_bytes(whole)
  assert evaluation.read_seed(config, 5, workdir) is not None


def test_a_variant_whose_metrics_are_damaged_is_not_finished(own):
  config = cells.variants_config(own[0])
  workdir = own[1] / 'ablation'

  def found():
    return list(ablation.cells(config, ('full',), (5,), workdir, train=False))

  assert found()
  path = workdir / 'seed5/full/report/metrics.json'
  whole = path.read_text()
  for keys, value in (
    (POOLED, None),
    ((*POOLED, 'auroc'), [0.9]),
    (('datasets', DAY, 'failure', 'msp'), ...),
    (('datasets', DAY), ...),
    (('datasets',), 'streets'),
  ):
    _put(path, keys, value)
    assert not found(), keys
    path.write_text(whole)


def test_damaged_parts_do_not_count(finished, stand_ins, tmp_path):
  config = finished[0]
  stand_ins.stop_before = DATASETS[1]
  with pytest.raises(Interrupted):
    comparison.run(config, tmp_path, 'train', {})
  report = tmp_path / 'seed5/fsnet/report'
  path = report / 'part_streets_day.json'
  parts = partial_results.Parts(report, DATASETS, read(path)['identity'])
  assert list(parts.read()) == [DAY]
  whole = path.read_text()
  for keys, value in (
    (('metrics',), []),
    (('metrics', 'failure', 'msp', 'pooled', 'auroc'), '0.9'),
    (('metrics', 'images'), -3),
    (('segments', 'msp'), ...),
    (('resolution', 'msp', 'aurc'), {}),
    (('ids',), ['a', 'b', 'c', 'd']),  # more than there are
    (('ids',), [3]),
    (('ids',), {}),
    (('panel',), 'yes'),
  ):
    _put(path, keys, value)
    assert not parts.read(), keys
    path.write_text(whole)
  with np.load(report / 'part_streets_day.npz') as arrays:
    kept = dict(arrays)
  label = kept['0/label']
  for name, other in (
    ('0/label', label[0]),
    ('0/image', kept['0/image'][:3]),
    ('0/valid', label),
    ('0/failure/msp', label),
  ):
    np.savez(report / 'part_streets_day.npz', **kept | {name: other})
    assert not parts.read(), name
  np.savez(report / 'part_streets_day.npz', **kept)
  assert list(parts.read()) == [DAY]
