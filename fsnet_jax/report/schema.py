"""The shape of `metrics.json`: every key, what it means, and the checks.

The file is read by other programs, so its keys are stable: keys are added,
never renamed. Rates are fractions in [0, 1]; a value that is not defined
(AUROC of a class without errors, ECE of a score that is no probability) is
`null`, never NaN and never 0.
"""

import math
from collections.abc import Mapping
from typing import Any

from common_lib.json_values import shown
from fsnet_jax.report.schema_values import (
  RANGE_TOLERANCE,
  Key,
  check_count,
  check_finite,
  check_json,
  check_keys,
  check_rate,
  named,
  optional,
)

SCHEMA = 1


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
  'calibrated': Key(
    'what the calibrated threshold of the run gave on these images',
    required=False,
  ),
}

CALIBRATED_KEYS: Mapping[str, Key] = {
  'detector': Key('whose P(wrong) is held against the threshold'),
  'risk_kind': Key(
    '`passing`: misclassified share of the pixels that pass; `undetected`:'
    ' share of all pixels that are misclassified and pass'
  ),
  'unit': Key('`image` or `group`: what the risk is the mean over'),
  'units': Key('how many there are'),
  'threshold': Key('P(wrong) up to which a pixel passes'),
  'limit': Key('of the risk, promised for images like those calibrated on'),
  'risk': Key('that was found here'),
  'coverage': Key('share of the labelled pixels that pass, mean over units'),
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
  'coverage_at_risk': Key(
    'largest share of pixels, most trusted first, of which at most a share is'
    ' wrong, by that share',
    required=False,
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
  'difference_to_best_baseline': Key(
    'of `fsnet` alone: FSNet less the detector that is best of those that are'
    ' no part of it, by measure',
    required=False,
  ),
  'image_mean': Key(
    'measures of each image by itself, averaged over the images where they are'
    " defined (SynthCP's convention for FPR95)",
    required=False,
  ),
  'per_class': Key('measures of each true class by itself', required=False),
  'per_predicted_class': Key(
    'of the pixels that S gives each class', required=False
  ),
  'by_region': Key(
    'of the pixels within 2 of a change of label (`boundary`), of the rest'
    ' (`interior`), and of objects below a thousandth of their image'
    ' (`small_objects`)',
    required=False,
  ),
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
  'coverage_at_5_risk': Key(
    'largest share of pixels, most trusted first, of which at most 5% are'
    ' wrong',
    required=False,
  ),
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
TO_BEST = 'difference_to_best_baseline'
TO_BEST_KEYS: Mapping[str, Key] = {
  'baseline': Key('name of the detector that is best by this measure'),
  **DIFFERENCE_KEYS,
}

_OPTIONAL: Mapping[str, Key] = {
  **{key: Key(value.meaning, False) for key, value in MEASURE_KEYS.items()},
  **COUNT_KEYS,
}
GROUPS: Mapping[str, Mapping[str, Key]] = {
  'pooled': {**MEASURE_KEYS, **COUNT_KEYS},
  'class_macro': MEASURE_KEYS,
  'per_class': _OPTIONAL,
  'per_predicted_class': _OPTIONAL,
  'by_region': _OPTIONAL,
}
#: Those with an entry for each class, or region, by name.
BY_NAME = ('per_class', 'per_predicted_class', 'by_region')

_COUNT_KEYS = frozenset({'images', 'pixels', 'errors'})
BY_SHARE = (
  'risk_at_coverage',
  'risk_at_coverage_class_macro',
  'caught_at_budget',
  'coverage_at_risk',
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
  check_keys(metrics, RUN_KEYS, 'metrics')
  check_count(metrics['schema'], 'schema')
  if metrics['schema'] != SCHEMA:
    raise ValueError(f'schema is {metrics["schema"]!r}, expected {SCHEMA}.')
  check_json(metrics['config'], 'config')
  if not isinstance(metrics['config'], Mapping):
    raise ValueError('config is not a mapping.')
  _check_environment(metrics['environment'])
  check_json(metrics.get('evaluation'), 'evaluation')
  for name, dataset in named(metrics['datasets'], 'datasets'):
    check_dataset(dataset, f'datasets.{name}')


def _check_environment(environment: Any) -> None:
  """Checks the environment: required texts, any further scalars."""
  if not isinstance(environment, Mapping):
    raise ValueError('environment is not a mapping.')
  check_json(environment, 'environment')
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
  check_keys(dataset, DATASET_KEYS, where)
  for key in ('images', 'pixels', 'sequences'):
    if key in dataset:
      check_count(dataset[key], f'{where}.{key}')
  _check_calibrated(dataset.get('calibrated'), f'{where}.calibrated')
  for name, count in optional(dataset, 'class_pixels', where):
    check_count(count, f'{where}.class_pixels.{name}')
  segmentation = dataset['segmentation']
  where_segmentation = f'{where}.segmentation'
  check_keys(segmentation, SEGMENTATION_KEYS, where_segmentation)
  for key, value in segmentation.items():
    if key in ('iou', 'class_acc'):
      for name, rate in named(value, f'{where_segmentation}.{key}'):
        check_rate(rate, f'{where_segmentation}.{key}.{name}')
    else:
      check_rate(value, f'{where_segmentation}.{key}')
  for name, detector in named(dataset['failure'], f'{where}.failure'):
    _check_detector(detector, f'{where}.failure.{name}')
    for measure, entry in optional(detector, TO_BEST, f'{where}.{name}'):
      _check_to_best(entry, dataset['failure'], f'{where}.{name}.{measure}')


def _check_calibrated(entry: Any, where: str) -> None:
  """Checks what a calibrated threshold gave; None where there is none."""
  if entry is None:
    return
  check_keys(entry, CALIBRATED_KEYS, where)
  check_count(entry['units'], f'{where}.units')
  for key in ('threshold', 'limit', 'risk', 'coverage'):
    check_rate(entry[key], f'{where}.{key}')
  for key in ('detector', 'risk_kind', 'unit'):
    if not isinstance(entry[key], str):
      raise ValueError(f'{where}.{key} is {shown(entry[key])}, not a text.')


def _check_detector(detector: Any, where: str) -> None:
  """Checks the entry of one failure detector."""
  check_keys(detector, DETECTOR_KEYS, where)
  title = detector.get('title', where)
  if not isinstance(title, str) or not title:
    raise ValueError(f'{where}.title is {shown(title)}, not a name.')
  for group in ('pooled', 'class_macro'):
    _check_measures(detector[group], GROUPS[group], f'{where}.{group}')
  for key, check in (
    ('image_mean', check_rate),
    ('pooled_bounds', _check_bounds),
    ('class_macro_classes', check_count),
    *((key, _check_difference) for key in DIFFERENCES),
    # Its other half needs the other detectors.
    (TO_BEST, lambda entry, at: _check_difference(entry, at, TO_BEST_KEYS)),
  ):
    for measure, value in optional(detector, key, where):
      if measure not in MEASURE_KEYS:
        raise ValueError(f'{where}.{key}: unknown key {measure!r}.')
      check(value, f'{where}.{key}.{measure}')
  for group in BY_NAME:
    for name, measures in optional(detector, group, where):
      _check_measures(measures, GROUPS[group], f'{where}.{group}.{name}')
  for key in BY_SHARE:
    if key in detector:
      _check_risks(detector[key], f'{where}.{key}')


def _check_measures(measures: Any, keys: Mapping[str, Key], where: str) -> None:
  """Checks measures: known keys, rates or counts."""
  check_keys(measures, keys, where)
  for key, value in measures.items():
    check = check_count if key in _COUNT_KEYS else check_rate
    check(value, f'{where}.{key}')


def _check_bounds(ends: Any, where: str) -> None:
  """Checks a measure's bounds: two rates in order, or None."""
  if ends is None:
    return
  if not isinstance(ends, list | tuple) or len(ends) != 2:
    raise ValueError(f'{where} does not hold two rates.')
  low, high = ends
  check_rate(low, where)
  check_rate(high, where)
  if None in (low, high) or low > high + RANGE_TOLERANCE:
    raise ValueError(f'{where} is {ends!r}, not two rates in order.')


def _check_to_best(
  entry: Any, detectors: Mapping[str, Any], where: str
) -> None:
  """Checks that the best baseline is one of the detectors."""
  if entry is None:
    return
  name = entry['baseline']
  if not isinstance(name, str) or name not in detectors:
    raise ValueError(f'{where}.baseline is not the name of a detector.')


def _check_difference(
  entry: Any, where: str, keys: Mapping[str, Key] = DIFFERENCE_KEYS
) -> None:
  """Checks a difference of two rates and its interval, or None."""
  if entry is None:
    return
  check_keys(entry, keys, where)
  for key in ('difference', 'low', 'high'):
    check_finite(entry[key], f'{where}.{key}')
    if abs(entry[key]) > 1.0 + RANGE_TOLERANCE:
      raise ValueError(f'{where}.{key} is {entry[key]}, not in [-1, 1].')
  if entry['low'] > entry['high']:
    raise ValueError(f'{where} has its low end above its high one.')
  if entry['unit'] not in ('image', 'sequence'):
    raise ValueError(f'{where}.unit is neither image nor sequence.')
  for key in ('units', 'resamples'):
    check_count(entry[key], f'{where}.{key}')
    if not entry[key]:
      raise ValueError(f'{where}.{key} is 0.')


def _check_risks(risks: Any, where: str) -> None:
  """Checks risks by coverage: keys are decimals in (0, 1]."""
  for coverage, risk in named(risks, where):
    try:
      share = float(coverage)
    except ValueError:
      share = math.nan
    if not 0.0 < share <= 1.0:
      raise ValueError(f'{where}: {coverage!r} is not a share in (0, 1].')
    check_rate(risk, f'{where}.{coverage}')
