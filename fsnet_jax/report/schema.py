"""The shape of `metrics.json`: every key, what it means, and the checks.

The file is read by other programs, so its keys are stable: keys are added,
never renamed. Rates are fractions in [0, 1]; a value that is not defined
(AUROC of a class without errors, ECE of a score that is no probability) is
`null`, never NaN and never 0.
"""

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

from common_lib.json_values import LARGEST, shown

SCHEMA = 1


class Key(NamedTuple):
  """One key of the file: what it holds, and whether it must be there."""

  meaning: str
  required: bool = True


RUN_KEYS: Mapping[str, Key] = {
  'schema': Key(f'version of this layout, the integer {SCHEMA}'),
  'config': Key('the frozen config of the run, as nested mappings'),
  'environment': Key('where and when the run was made'),
  'evaluation': Key(
    'what the metrics depend on beside the config: settings, and digests of'
    ' networks, fits, detectors and data sets',
    required=False,
  ),
  'datasets': Key('one entry for each evaluated data set, by its name'),
}

ENVIRONMENT_KEYS: Mapping[str, Key] = {
  'jax': Key('version of jax'),
  'device': Key('kind of device, in words'),
  'date': Key('date of the evaluation, ISO 8601'),
  'command': Key('command line that repeats the run', required=False),
  'config_name': Key('name of the config file and argument', required=False),
  # Any further key is allowed here: a version, a count, a time.
}

DATASET_KEYS: Mapping[str, Key] = {
  'images': Key('images evaluated, each exactly once'),
  'pixels': Key('labelled pixels, that is without void'),
  'segmentation': Key('how good the segmentation network S is'),
  'failure': Key("how well each detector finds S's errors, by its name"),
  'sequences': Key(
    'sequences that the images are from, 1 where the data set names none',
    required=False,
  ),
  'class_pixels': Key(
    'labelled pixels of each class, if per_class has no `pixels`',
    required=False,
  ),
}

SEGMENTATION_KEYS: Mapping[str, Key] = {
  'miou': Key(
    'mean of the IoU, from one confusion matrix of all pixels, over the classes'
    ' that occur in the labels'
  ),
  'miou_cityscapes': Key(
    'the same over the classes that occur in labels or predictions, as the'
    ' script of Cityscapes has it',
    required=False,
  ),
  'miou_image_mean': Key(
    'IoU of each image, absent classes counted as 0, averaged over images and'
    " classes (SynthCP's convention)"
  ),
  'cls_acc': Key('mean over classes of the share of its pixels found'),
  'cls_acc_image_mean': Key(
    'the same in the image-mean convention, absent classes counted as 0'
  ),
  'pixel_acc': Key('share of labelled pixels with the right class'),
  'base_error_rate': Key('1 - pixel_acc: what every detector has to find'),
  'iou': Key('IoU of each class, null where the class does not occur'),
  'class_acc': Key("share of each class's pixels found", required=False),
}

DETECTOR_KEYS: Mapping[str, Key] = {
  'title': Key("its name in tables, where it is a user's own", required=False),
  'pooled': Key('measures over all labelled pixels together (primary)'),
  'class_macro': Key(
    'measures of each true class by itself, averaged over the classes where'
    ' they are defined'
  ),
  'risk_at_coverage': Key(
    'error rate among the most trusted share of pixels, by that share'
  ),
  'caught_at_budget': Key(
    'share of all errors in the most suspicious pixels, by their share', False
  ),
  'pooled_bounds': Key(
    'lowest and highest value that each pooled measure can have', False
  ),
  'difference_to_msp': Key(
    'this detector less MSP, by measure, with a 95% interval; null for MSP'
    ' itself and where it was not evaluated',
    required=False,
  ),
  'difference_to_fsnet': Key('likewise, less FSNet', required=False),
  'image_mean': Key(
    'measures of each image by itself, averaged over the images where they are'
    " defined (SynthCP's convention for FPR95)",
    required=False,
  ),
  'per_class': Key('measures of each true class by itself', required=False),
  'class_macro_classes': Key('classes behind each class_macro value', False),
  'risk_at_coverage_class_macro': Key(
    'risk_at_coverage of each true class, averaged over classes',
    required=False,
  ),
}

MEASURE_KEYS: Mapping[str, Key] = {
  'ap_error': Key('average precision, positive = wrong pixel'),
  'ap_success': Key('average precision, positive = right pixel'),
  'auroc': Key('area under the ROC curve of wrong against right pixels'),
  'fpr95_error': Key(
    'share of right pixels flagged where 95% of wrong pixels are flagged'
  ),
  'fpr95_success': Key(
    'share of wrong pixels accepted where 95% of right pixels are accepted'
  ),
  'aurc': Key('area under the risk-coverage curve'),
  'e_aurc': Key('aurc minus that of a perfect ranking of the same errors'),
  'augrc': Key('area under the generalised risk (wrong and accepted) curve'),
  'ece': Key('expected calibration error; null unless a probability'),
}

# Stand beside the measures of all pixels and of each class.
COUNT_KEYS: Mapping[str, Key] = {
  'pixels': Key('labelled pixels measured', required=False),
  'errors': Key('wrong pixels among them', required=False),
  'base_error_rate': Key('errors / pixels', required=False),
}

# Of one measure; null where it is not defined, or there are too few units or
# errors to draw from.
DIFFERENCE_KEYS: Mapping[str, Key] = {
  'difference': Key('of the pooled measures'),
  'low': Key('lower end of its 95% interval, a paired bootstrap over units'),
  'high': Key('upper end'),
  'unit': Key('what is drawn: image or sequence'),
  'units': Key('how many there are'),
  'resamples': Key('number of draws'),
}
DIFFERENCES = ('difference_to_msp', 'difference_to_fsnet')

GROUPS: Mapping[str, Mapping[str, Key]] = {
  'pooled': {**MEASURE_KEYS, **COUNT_KEYS},
  'class_macro': MEASURE_KEYS,
  'per_class': {
    **{key: Key(value.meaning, False) for key, value in MEASURE_KEYS.items()},
    **COUNT_KEYS,
  },
}

# Histograms approximate: E-AURC of a near-perfect ranking may fall a little
# below 0, and sums of floats a little above 1.
_RANGE_TOLERANCE = 1e-3
# No config nests deeper; what compares configs would end in Python's limit.
_DEEPEST = 32
_COUNT_KEYS = frozenset({'images', 'pixels', 'errors'})
BY_SHARE = (
  'risk_at_coverage',
  'risk_at_coverage_class_macro',
  'caught_at_budget',
)


def validate(metrics: Any) -> None:
  """Checks that a metrics dictionary has exactly the documented layout.

  Args:
    metrics: what would be written to `metrics.json`; numbers may be Python or
      numpy scalars, `config` must be plain mappings, sequences and scalars.

  Raises:
    ValueError: an unknown or missing key, a value of the wrong kind, a number
      that is not finite, or a rate outside [0, 1]; the message names the key
      with its path.
  """
  _check_keys(metrics, RUN_KEYS, 'metrics')
  _check_count(metrics['schema'], 'schema')
  if metrics['schema'] != SCHEMA:
    raise ValueError(f'schema is {metrics["schema"]!r}, expected {SCHEMA}.')
  _check_json(metrics['config'], 'config')
  if not isinstance(metrics['config'], Mapping):
    raise ValueError('config is not a mapping.')
  _check_environment(metrics['environment'])
  _check_json(metrics.get('evaluation'), 'evaluation')
  for name, dataset in _named(metrics['datasets'], 'datasets'):
    check_dataset(dataset, f'datasets.{name}')


def _check_environment(environment: Any) -> None:
  """Checks the environment: required texts, any further scalars."""
  if not isinstance(environment, Mapping):
    raise ValueError('environment is not a mapping.')
  _check_json(environment, 'environment')
  for key, spec in ENVIRONMENT_KEYS.items():
    if spec.required and key not in environment:
      raise ValueError(f'environment: missing key {key!r}.')
    if key in environment and not isinstance(environment[key], str):
      raise ValueError(f'environment.{key} is not a text.')


def check_dataset(dataset: Any, where: str) -> None:
  """As `validate`, of the entry of one data set.

  Args:
    dataset: the entry.
    where: its path, for the message.
  """
  _check_keys(dataset, DATASET_KEYS, where)
  for key in ('images', 'pixels', 'sequences'):
    if key in dataset:
      _check_count(dataset[key], f'{where}.{key}')
  for name, count in _optional(dataset, 'class_pixels', where):
    _check_count(count, f'{where}.class_pixels.{name}')
  segmentation = dataset['segmentation']
  where_segmentation = f'{where}.segmentation'
  _check_keys(segmentation, SEGMENTATION_KEYS, where_segmentation)
  for key, value in segmentation.items():
    if key in ('iou', 'class_acc'):
      for name, rate in _named(value, f'{where_segmentation}.{key}'):
        _check_rate(rate, f'{where_segmentation}.{key}.{name}')
    else:
      _check_rate(value, f'{where_segmentation}.{key}')
  for name, detector in _named(dataset['failure'], f'{where}.failure'):
    _check_detector(detector, f'{where}.failure.{name}')


def _check_detector(detector: Any, where: str) -> None:
  """Checks the entry of one failure detector."""
  _check_keys(detector, DETECTOR_KEYS, where)
  title = detector.get('title', where)
  if not isinstance(title, str) or not title:
    raise ValueError(f'{where}.title is {shown(title)}, not a name.')
  for group in ('pooled', 'class_macro'):
    _check_measures(detector[group], GROUPS[group], f'{where}.{group}')
  for key, check in (
    ('image_mean', _check_rate),
    ('pooled_bounds', _check_bounds),
    ('class_macro_classes', _check_count),
    *((key, _check_difference) for key in DIFFERENCES),
  ):
    for measure, value in _optional(detector, key, where):
      if measure not in MEASURE_KEYS:
        raise ValueError(f'{where}.{key}: unknown key {measure!r}.')
      check(value, f'{where}.{key}.{measure}')
  for name, measures in _optional(detector, 'per_class', where):
    _check_measures(measures, GROUPS['per_class'], f'{where}.per_class.{name}')
  for key in BY_SHARE:
    if key in detector:
      _check_risks(detector[key], f'{where}.{key}')


def _check_measures(measures: Any, keys: Mapping[str, Key], where: str) -> None:
  """Checks measures: known keys, rates or counts."""
  _check_keys(measures, keys, where)
  for key, value in measures.items():
    check = _check_count if key in _COUNT_KEYS else _check_rate
    check(value, f'{where}.{key}')


def _check_bounds(ends: Any, where: str) -> None:
  """Checks a measure's bounds: two rates in order, or None."""
  if ends is None:
    return
  if not isinstance(ends, list | tuple) or len(ends) != 2:
    raise ValueError(f'{where} does not hold two rates.')
  low, high = ends
  _check_rate(low, where)
  _check_rate(high, where)
  if None in (low, high) or low > high + _RANGE_TOLERANCE:
    raise ValueError(f'{where} is {ends!r}, not two rates in order.')


def _check_difference(entry: Any, where: str) -> None:
  """Checks a difference of two rates and its interval, or None."""
  if entry is None:
    return
  _check_keys(entry, DIFFERENCE_KEYS, where)
  for key in ('difference', 'low', 'high'):
    _check_finite(entry[key], f'{where}.{key}')
    if abs(entry[key]) > 1.0 + _RANGE_TOLERANCE:
      raise ValueError(f'{where}.{key} is {entry[key]}, not in [-1, 1].')
  if entry['low'] > entry['high']:
    raise ValueError(f'{where} has its low end above its high one.')
  if entry['unit'] not in ('image', 'sequence'):
    raise ValueError(f'{where}.unit is neither image nor sequence.')
  for key in ('units', 'resamples'):
    _check_count(entry[key], f'{where}.{key}')
    if not entry[key]:
      raise ValueError(f'{where}.{key} is 0.')


def _check_risks(risks: Any, where: str) -> None:
  """Checks risks by coverage: keys are decimals in (0, 1]."""
  for coverage, risk in _named(risks, where):
    try:
      share = float(coverage)
    except ValueError:
      share = math.nan
    if not 0.0 < share <= 1.0:
      raise ValueError(f'{where}: {coverage!r} is not a share in (0, 1].')
    _check_rate(risk, f'{where}.{coverage}')


def _check_keys(entry: Any, keys: Mapping[str, Key], where: str) -> None:
  """Raises for a missing required key or an unknown key."""
  if not isinstance(entry, Mapping):
    raise ValueError(f'{where} is not a mapping.')
  for key, spec in keys.items():
    if spec.required and key not in entry:
      raise ValueError(f'{where}: missing key {key!r}.')
  for key in entry:
    if key not in keys:
      raise ValueError(f'{where}: unknown key {key!r}.')


def _named(entry: Any, where: str) -> list[tuple[str, Any]]:
  """Returns the items of a mapping by name, which must not be empty."""
  if not isinstance(entry, Mapping) or not entry:
    raise ValueError(f'{where} is not a mapping with at least one entry.')
  for name in entry:
    if not isinstance(name, str) or not name:
      raise ValueError(f'{where}: {name!r} is not a name.')
  return list(entry.items())


def _optional(
  entry: Mapping[str, Any], key: str, where: str
) -> list[tuple[str, Any]]:
  """The items of a mapping that may be missing or None, but not empty."""
  if entry.get(key) is None:
    return []
  return _named(entry[key], f'{where}.{key}')


def _check_rate(value: Any, where: str) -> None:
  """Raises unless the value is None or a fraction."""
  if value is None:
    return
  _check_finite(value, where)
  if not -_RANGE_TOLERANCE <= value <= 1.0 + _RANGE_TOLERANCE:
    raise ValueError(f'{where} is {value}, not a fraction in [0, 1].')


def _check_count(value: Any, where: str) -> None:
  """Raises unless the value is a whole number of things."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral):
    raise ValueError(f'{where} is {shown(value)}, not a whole number.')
  if not 0 <= int(value) <= LARGEST:
    raise ValueError(f'{where} is {shown(value)}, not in [0, 2^53].')


def _check_finite(value: Any, where: str) -> None:
  """Raises unless the value is a finite number."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise ValueError(f'{where} is {shown(value)}, not a number or None.')
  try:
    finite = math.isfinite(value)
  except OverflowError:  # a whole number of hundreds of digits
    finite = False
  if not finite:
    raise ValueError(
      f'{where} is {shown(value)}: an undefined value must be None.'
    )


def _check_json(value: Any, where: str, depth: int = 0) -> None:
  """Raises unless the value can be written as strict JSON."""
  if depth > _DEEPEST:
    raise ValueError(f'{where} is nested more than {_DEEPEST} deep.')
  if isinstance(value, Mapping):
    for key, entry in value.items():
      if not isinstance(key, str):
        raise ValueError(f'{where}: key {key!r} is not a text.')
      _check_json(entry, f'{where}.{key}', depth + 1)
  elif isinstance(value, list | tuple):
    for index, entry in enumerate(value):
      _check_json(entry, f'{where}[{index}]', depth + 1)
  elif not (value is None or isinstance(value, str | bool)):
    _check_finite(value, where)
