import copy
import json
import math
import os

import numpy as np
import pytest

from common_lib import files
from fsnet_jax.metrics.ranking import ExactFailure
from fsnet_jax.metrics.segmentation import SegmentationMetrics
from fsnet_jax.report import metrics_json, schema, text
from fsnet_jax.report.pages import html
from tests.fsnet_jax.report.report_data import make_best_baseline, make_details


def _set(metrics, path, value):
  """Puts a value at a path of keys; `...` removes the last key."""
  *parents, last = path
  entry = metrics
  for key in parents:
    entry = entry[key]
  if value is ...:
    del entry[last]
  else:
    entry[last] = value


DAY = ('datasets', 'streets/day')
FSNET = (*DAY, 'failure', 'fsnet')
TO_MSP = (*FSNET, 'difference_to_msp')
BEST = 'difference_to_best_baseline'


def test_documented_layout_is_valid(metrics):
  schema.validate(metrics)


def test_every_key_is_documented():
  for table in (
    schema.RUN_KEYS,
    schema.ENVIRONMENT_KEYS,
    schema.DATASET_KEYS,
    schema.SEGMENTATION_KEYS,
    schema.DETECTOR_KEYS,
    schema.MEASURE_KEYS,
    schema.COUNT_KEYS,
    schema.DIFFERENCE_KEYS,
  ):
    assert all(len(key.meaning) > 5 for key in table.values())


@pytest.mark.parametrize(
  ('path', 'value', 'named'),
  [
    (('schema',), 2, 'schema'),
    (('schema',), True, 'schema'),
    (('config',), ..., 'config'),
    (('config',), [1], 'config'),
    (('config', 'rate'), math.inf, 'config.rate'),
    (('config', 'nested'), {'list': [1, {'x': math.nan}]}, r'nested.list\[1\]'),
    (('config', 'function'), len, 'config.function'),
    (('config', 3), 'x', 'config: key 3'),
    (('environment', 'jax'), ..., "environment: missing key 'jax'"),
    (('environment', 'device'), 3, 'environment.device'),
    (('environment', 'load'), math.nan, 'environment.load'),
    (('datasets',), {}, 'datasets'),
    (('extra',), 1, "metrics: unknown key 'extra'"),
    ((*DAY, 'images'), ..., "missing key 'images'"),
    ((*DAY, 'images'), -1, 'images is -1'),
    ((*DAY, 'pixels'), 10.0, 'pixels'),
    ((*DAY, 'pixels'), None, 'pixels'),
    ((*DAY, 'colour'), 1, "datasets.streets/day: unknown key 'colour'"),
    ((*DAY, 'class_pixels'), {'road': 0.5}, 'class_pixels.road'),
    ((*DAY, 'segmentation', 'miou'), ..., "segmentation: missing key 'miou'"),
    ((*DAY, 'segmentation', 'miou'), math.nan, 'miou is nan'),
    ((*DAY, 'segmentation', 'pixel_acc'), 91.4, 'not a fraction'),
    ((*DAY, 'segmentation', 'iou'), {}, 'iou'),
    ((*DAY, 'segmentation', 'iou', 'road'), -math.inf, 'iou.road'),
    ((*DAY, 'segmentation', 'iou', 7), 0.5, 'iou: 7'),
    ((*DAY, 'failure'), {}, 'failure'),
    ((*DAY, 'failure', ''), {}, "'' is not a name"),
    ((*FSNET, 'pooled'), ..., "missing key 'pooled'"),
    ((*FSNET, 'pooled'), None, 'pooled is not a mapping'),
    ((*FSNET, 'pooled', 'auroc'), ..., "pooled: missing key 'auroc'"),
    ((*FSNET, 'pooled', 'auroc'), 'high', "'high', not a number"),
    ((*FSNET, 'pooled', 'auroc'), True, 'not a number'),
    ((*FSNET, 'pooled', 'auroc'), np.float32(np.nan), 'auroc is .*nan'),
    ((*FSNET, 'pooled', 'auroc'), -0.2, 'not a fraction'),
    ((*FSNET, 'pooled', 'fpr95'), 0.2, "unknown key 'fpr95'"),
    ((*FSNET, 'pooled', 'pixels'), 0.2, 'pooled.pixels'),
    ((*FSNET, 'class_macro', 'pixels'), 3, "unknown key 'pixels'"),
    ((*FSNET, 'risk_at_coverage'), {}, 'risk_at_coverage'),
    ((*FSNET, 'risk_at_coverage', '0'), 0.1, "'0' is not a share"),
    ((*FSNET, 'risk_at_coverage', '1.5'), 0.1, "'1.5' is not a share"),
    ((*FSNET, 'risk_at_coverage', 'all'), 0.1, "'all' is not a share"),
    ((*FSNET, 'risk_at_coverage', '0.5'), 2.0, 'not a fraction'),
    ((*FSNET, 'risk_at_coverage_class_macro'), {'x': 0.1}, "'x' is not a"),
    ((*FSNET, 'per_class'), {'road': {'mean': 1}}, "unknown key 'mean'"),
    ((*FSNET, 'per_class'), {'road': {'auroc': math.nan}}, 'road.auroc'),
    ((*FSNET, 'image_mean'), {'miou': 0.1}, "unknown key 'miou'"),
    ((*FSNET, 'image_mean'), {'fpr95_error': 2.0}, 'not a fraction'),
    ((*FSNET, 'pooled_bounds'), {'miou': None}, "unknown key 'miou'"),
    ((*FSNET, 'pooled_bounds'), {'auroc': (0.9, 0.8)}, 'not two rates in'),
    ((*FSNET, 'pooled_bounds'), {'auroc': (None, 0.8)}, 'not two rates in'),
    ((*FSNET, 'pooled_bounds'), {'auroc': (0.8, 2.0)}, 'not a fraction'),
    ((*FSNET, 'class_macro_classes'), {'auroc': 1.5}, 'not a whole number'),
    ((*FSNET, 'class_macro_classes'), {'miou': 3}, "unknown key 'miou'"),
    ((*FSNET, 'pooled_bounds'), {'auroc': 'ab'}, 'not hold two rates'),
    ((*DAY, 'sequences'), 1.5, 'sequences is 1.5'),
    ((*DAY, 'images'), 1 << 70, 'a number too large'),
    ((*TO_MSP, 'miou'), None, "unknown key 'miou'"),
    ((*TO_MSP, 'auroc', 'low'), ..., "missing key 'low'"),
    ((*TO_MSP, 'auroc', 'mean'), 0.1, "unknown key 'mean'"),
    ((*TO_MSP, 'auroc', 'low'), -1.5, r'not in \[-1'),
    ((*TO_MSP, 'auroc', 'low'), 0.9, 'low end above'),
    ((*TO_MSP, 'auroc', 'low'), None, 'not a number'),
    ((*TO_MSP, 'auroc', 'unit'), 'pixel', 'neither image nor sequence'),
    ((*TO_MSP, 'auroc', 'units'), 0, 'units is 0'),
    ((*TO_MSP, 'auroc', 'resamples'), 1.5, 'not a whole number'),
  ],
)
def test_wrong_layout_is_named(metrics, path, value, named):
  _set(metrics, path, value)
  with pytest.raises(ValueError, match=named):
    schema.validate(metrics)


@pytest.mark.parametrize(
  ('path', 'value', 'named'),
  [
    (('coverage_at_risk',), {'0': 0.5}, "'0' is not a share"),
    (('coverage_at_risk',), {'0.05': 1.5}, 'not a fraction'),
    (('by_region',), {}, 'by_region is not a mapping with'),
    (('by_region',), {'boundary': {'mean': 1}}, "unknown key 'mean'"),
    (('by_region',), {'boundary': {'auroc': 2.0}}, 'boundary.auroc is 2.0'),
    (('per_predicted_class',), {'road': {'pixels': 0.5}}, 'road.pixels'),
    ((BEST,), {'miou': None}, "unknown key 'miou'"),
    ((BEST, 'auroc', 'low'), ..., "missing key 'low'"),
    ((BEST, 'auroc', 'low'), 0.9, 'low end above'),
    ((BEST, 'auroc', 'mean'), 0.9, "unknown key 'mean'"),
    ((BEST, 'auroc', 'baseline'), ..., "missing key 'baseline'"),
    ((BEST, 'auroc', 'baseline'), 'tcp', 'baseline is not the name'),
    ((BEST, 'auroc', 'baseline'), 7, 'baseline is not the name'),
  ],
)
def test_wrong_details_are_named(metrics, path, value, named):
  failure = metrics['datasets']['streets/day']['failure']
  make_details(failure['fsnet'])
  make_best_baseline(failure, auroc='msp')
  schema.validate(metrics)
  _set(metrics, (*FSNET, *path), value)
  with pytest.raises(ValueError, match=named):
    schema.validate(metrics)


def test_details_come_back_from_the_file(metrics, tmp_path):
  failure = metrics['datasets']['streets/day']['failure']
  make_details(failure['fsnet'])
  make_best_baseline(failure, auroc='msp', coverage_at_5_risk='entropy')
  failure['fsnet']['coverage_at_risk'] = {'0.01': 0.1, '0.05': 0.2, '0.1': None}
  path = tmp_path / 'metrics.json'
  metrics_json.write_metrics_json(path, metrics)
  assert metrics_json.read_metrics_json(path, fix='-') == metrics
  # What a later version adds is left out, as elsewhere.
  stored = json.loads(path.read_text())
  fsnet = stored['datasets']['streets/day']['failure']['fsnet']
  fsnet['by_region']['boundary']['new'] = fsnet[BEST]['auroc']['new'] = 1
  path.write_text(json.dumps(stored))
  assert metrics_json.read_metrics_json(path, fix='-') == metrics


def test_a_file_from_before_a_measure_is_shown(metrics):
  for dataset in metrics['datasets'].values():
    for detector in dataset['failure'].values():
      del detector['pooled']['coverage_at_5_risk']
      del detector['class_macro']['coverage_at_5_risk']
  schema.validate(metrics)
  assert 'Cov@5%' in text.text_table(metrics)
  pictures = dict.fromkeys(('risk_coverage', 'detectors'), b'')
  assert 'Cov@5%' in html.render_html(metrics, pictures, {})


def test_optional_keys_are_accepted(metrics):
  _set(metrics, (*DAY, 'class_pixels'), {'road': 12, 'train': np.int64(0)})
  _set(metrics, (*DAY, 'segmentation', 'class_acc'), {'road': 0.5})
  _set(metrics, (*FSNET, 'pooled', 'errors'), 1234)
  _set(metrics, (*FSNET, 'class_macro_classes'), {'auroc': 17})
  _set(metrics, (*FSNET, 'image_mean'), {'fpr95_error': 0.2, 'auroc': None})
  _set(metrics, (*FSNET, 'pooled_bounds'), {'auroc': (0.5, 0.5), 'aurc': None})
  _set(metrics, (*FSNET, 'risk_at_coverage_class_macro'), {'1.0': None})
  _set(metrics, (*FSNET, 'per_class'), {'road': {'auroc': 0.5, 'pixels': 12}})
  _set(metrics, ('environment', 'devices'), 8)
  schema.validate(metrics)


def test_what_the_metrics_package_computes_is_accepted(metrics):
  rng = np.random.default_rng(3)
  names = ('road', 'sky', 'train')
  label = rng.integers(0, 2, (2, 4, 5)).astype(np.uint8)
  prediction = rng.integers(0, 3, label.shape)
  score = rng.random(label.shape, np.float32)
  valid = np.ones(label.shape, bool)
  failure = ExactFailure.empty(3)
  failure = failure.update(score, prediction != label, valid, label, score)
  confusion = np.zeros((2, 3, 3), np.int32)
  for image in range(2):
    np.add.at(
      confusion[image], (label[image].ravel(), prediction[image].ravel()), 1
    )
  segmentation = SegmentationMetrics.empty(3).add(confusion).compute(names)
  metrics['datasets'] = {
    'random': {
      'images': 2,
      'pixels': segmentation.pop('pixels'),
      'segmentation': segmentation,
      'failure': {'msp': failure.compute(names)},
    }
  }
  schema.validate(metrics)
  assert segmentation['iou']['train'] is None


def test_json_round_trip_is_strict(metrics, tmp_path):
  path = tmp_path / 'metrics.json'
  metrics_json.write_metrics_json(path, metrics)

  def refuse(constant):
    raise AssertionError(f'{constant} is not strict JSON')

  read = json.loads(path.read_text(), parse_constant=refuse)
  assert read == metrics
  assert read['datasets']['streets/day']['failure']['fsnet'] != {}
  assert '"ece": null' in path.read_text()


def test_numpy_scalars_become_json_numbers(metrics, tmp_path):
  _set(metrics, (*FSNET, 'pooled', 'auroc'), np.float32(0.75))
  _set(metrics, (*DAY, 'pixels'), np.int64(2**40))
  _set(metrics, ('config', 'image_size'), (np.int32(64), 128))
  path = tmp_path / 'metrics.json'
  metrics_json.write_metrics_json(path, metrics)
  read = json.loads(path.read_text())
  day = read['datasets']['streets/day']
  assert day['failure']['fsnet']['pooled']['auroc'] == 0.75
  assert day['pixels'] == 2**40
  assert read['config']['image_size'] == [64, 128]


def _reversed(value):
  """The value with the keys of every mapping in reverse order."""
  if isinstance(value, dict):
    return {key: _reversed(value[key]) for key in reversed(value)}
  return value


def test_key_order_does_not_depend_on_the_input(metrics, tmp_path):
  shuffled = _reversed(metrics)
  # Data sets, detectors and classes keep the order of the evaluation.
  shuffled['datasets'] = _reversed_keeping_names(metrics['datasets'])
  metrics_json.write_metrics_json(tmp_path / 'a.json', metrics)
  metrics_json.write_metrics_json(tmp_path / 'b.json', shuffled)
  assert (tmp_path / 'a.json').read_bytes() == (
    tmp_path / 'b.json'
  ).read_bytes()
  read = json.loads((tmp_path / 'b.json').read_text())
  fsnet = read['datasets']['streets/day']['failure']['fsnet']
  assert list(read) == [key for key in schema.RUN_KEYS if key in metrics]
  assert list(fsnet['pooled']) == list(schema.MEASURE_KEYS)
  assert list(fsnet['risk_at_coverage'])[0] == '0.1'


def _reversed_keeping_names(datasets):
  result = {}
  for name, dataset in datasets.items():
    entry = result[name] = _reversed(dataset)
    entry['segmentation']['iou'] = dataset['segmentation']['iou']
    entry['failure'] = {
      detector: _reversed(values)
      for detector, values in dataset['failure'].items()
    }
  return result


def test_invalid_metrics_leave_the_old_file(metrics, tmp_path):
  path = tmp_path / 'metrics.json'
  metrics_json.write_metrics_json(path, metrics)
  before = path.read_bytes()
  broken = copy.deepcopy(metrics)
  _set(broken, (*FSNET, 'pooled', 'auroc'), math.nan)
  with pytest.raises(ValueError, match='auroc'):
    metrics_json.write_metrics_json(path, broken)
  assert path.read_bytes() == before
  assert [entry.name for entry in tmp_path.iterdir()] == ['metrics.json']


def test_failed_write_leaves_the_old_file_and_no_scratch(tmp_path, monkeypatch):
  path = tmp_path / 'file'
  files.write_bytes(path, b'old')

  def fail(*_):
    raise OSError('disk full')

  monkeypatch.setattr(os, 'fsync', fail)
  with pytest.raises(OSError, match='disk full'):
    files.write_bytes(path, b'new')
  assert path.read_bytes() == b'old'
  assert len(list(tmp_path.iterdir())) == 1


def test_written_files_have_the_usual_permissions(tmp_path):
  plain = tmp_path / 'plain'
  plain.write_bytes(b'x')
  path = tmp_path / 'file'
  files.write_bytes(path, b'x')
  assert path.stat().st_mode == plain.stat().st_mode
