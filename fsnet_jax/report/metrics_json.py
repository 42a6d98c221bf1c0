"""Writes and reads `metrics.json`: checked, in the documented order of keys."""

import json
import os
from collections.abc import Mapping
from typing import Any

from common_lib import files, json_values
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.report.schema import (
  BY_NAME,
  BY_SHARE,
  DATASET_KEYS,
  DETECTOR_KEYS,
  DIFFERENCE_KEYS,
  DIFFERENCES,
  GROUPS,
  MEASURE_KEYS,
  RUN_KEYS,
  SEGMENTATION_KEYS,
  TO_BEST,
  TO_BEST_KEYS,
  check_dataset,
  validate,
)
from fsnet_jax.report.schema_values import Key

_LONGEST_NAME = 1000


def write_metrics_json(
  path: str | os.PathLike[str], metrics: Mapping[str, Any]
) -> None:
  """Writes `metrics.json`: checked, strict JSON, in the documented key order.

  The file appears whole or not at all: it is written beside its place and
  moved there.

  Args:
    path: the file; its folder must exist.
    metrics: see `validate`. `None` becomes `null`.

  Raises:
    ValueError: see `validate`. Nothing is written then.
  """
  validate(metrics)
  text = json.dumps(
    _ordered(metrics), indent=2, allow_nan=False, default=_to_python
  )
  files.write_bytes(path, (text + '\n').encode())


def read_metrics_json(
  path: str | os.PathLike[str], *, fix: str
) -> dict[str, Any]:
  """Reads a `metrics.json` that somebody may have damaged or written by hand.

  Args:
    path: the file.
    fix: what the user can do about a damaged one, for the message.

  Returns:
    Its contents in the documented layout. Keys that the layout does not have,
    as a later version or the user may have added, are left out.

  Raises:
    UserError: it cannot be read, or anything in it has not the documented
      type, length or range; the message names file and key.
  """
  what = "a run's metrics"
  stored = files.read_json_object(path, what=what, fix=fix)
  problem = problem_of(stored)
  if problem:
    raise UserError(f'{path}, {what}, cannot be used ({problem}): {fix}.')
  return _without_unknown(stored)


def problem_of(stored: Any) -> str:
  """What is wrong with the contents of a `metrics.json`, or ''.

  Args:
    stored: what JSON gave back; keys that are not documented are no problem.
  """
  try:
    validate(_without_unknown(stored))
    for dataset, entry in stored['datasets'].items():
      _check_shown(dataset, 'datasets')
      for detector, found in entry['failure'].items():
        where = f'datasets.{dataset}.failure'
        _check_shown(detector, where)
        _check_shown(found.get('title') or '', f'{where}.{detector}')
  except ValueError as error:
    return quoted(error, 200).rstrip('.')
  return ''


def problem_of_dataset(stored: Any) -> str:
  """As `problem_of`, of the entry of one data set."""
  try:
    check_dataset(_known_dataset(stored), 'metrics')
  except ValueError as error:
    return quoted(error, 200).rstrip('.')
  return ''


def _check_shown(name: str, where: str) -> None:
  """Raises ValueError for a name that no table should print."""
  if quoted(name, _LONGEST_NAME) != name:
    raise ValueError(f'{where}: {json_values.shown(name)} is not a name')


def _without_unknown(stored: Any) -> Any:
  """The contents without undocumented keys; what is no mapping stays."""
  metrics = _known(stored, RUN_KEYS)
  datasets = metrics.get('datasets') if isinstance(metrics, Mapping) else None
  if not isinstance(datasets, Mapping):
    return metrics
  return metrics | {
    'datasets': {name: _known_dataset(one) for name, one in datasets.items()}
  }


def _known_dataset(stored: Any) -> Any:
  """The documented keys of one data set's entry."""
  dataset = _known(stored, DATASET_KEYS)
  if not isinstance(dataset, Mapping):
    return dataset
  found = dict(dataset)
  if 'segmentation' in found:
    found['segmentation'] = _known(found['segmentation'], SEGMENTATION_KEYS)
  if isinstance(found.get('failure'), Mapping):
    found['failure'] = {
      name: _known_detector(one) for name, one in found['failure'].items()
    }
  return found


def _known_detector(stored: Any) -> Any:
  """The documented keys of one detector's entry."""
  detector = _known(stored, DETECTOR_KEYS)
  if not isinstance(detector, Mapping):
    return detector
  found = dict(detector)
  for group in ('pooled', 'class_macro'):
    if group in found:
      found[group] = _known(found[group], GROUPS[group])
  for key, keys in (
    *((key, GROUPS[key]) for key in BY_NAME),
    *((key, DIFFERENCE_KEYS) for key in DIFFERENCES),
    (TO_BEST, TO_BEST_KEYS),
  ):
    if isinstance(found.get(key), Mapping):
      found[key] = {n: _known(one, keys) for n, one in found[key].items()}
  return found


def _known(entry: Any, keys: Mapping[str, Key]) -> Any:
  """A mapping's documented keys; anything else as it is."""
  if not isinstance(entry, Mapping):
    return entry
  return {key: value for key, value in entry.items() if key in keys}


def _ordered(metrics: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the metrics with known keys in documented order.

  Data sets, detectors and classes keep their order (that of the evaluation);
  the free keys of config and environment are sorted.
  """
  ordered = _in_order(metrics, RUN_KEYS)
  ordered['config'] = _sorted(metrics['config'])
  ordered['environment'] = _sorted(metrics['environment'])
  ordered['datasets'] = {}
  for name, dataset in metrics['datasets'].items():
    entry = ordered['datasets'][name] = _in_order(dataset, DATASET_KEYS)
    entry['segmentation'] = _in_order(
      dataset['segmentation'], SEGMENTATION_KEYS
    )
    entry['failure'] = {
      detector: _ordered_detector(values)
      for detector, values in dataset['failure'].items()
    }
  return ordered


def _ordered_detector(detector: Mapping[str, Any]) -> dict[str, Any]:
  """Returns one detector's entry in documented order."""
  ordered = _in_order(detector, DETECTOR_KEYS)
  for group in ('pooled', 'class_macro'):
    ordered[group] = _in_order(detector[group], GROUPS[group])
  for key in BY_SHARE:
    if key in detector:
      ordered[key] = dict(sorted(detector[key].items(), key=_by_share))
  for key in (*DIFFERENCES, TO_BEST):
    if detector.get(key):
      keys = TO_BEST_KEYS if key == TO_BEST else DIFFERENCE_KEYS
      ordered[key] = {
        name: one and _in_order(one, keys)
        for name, one in _in_order(detector[key], MEASURE_KEYS).items()
      }
  for group in BY_NAME:
    if detector.get(group):
      ordered[group] = {
        name: _in_order(measures, GROUPS[group])
        for name, measures in detector[group].items()
      }
  return ordered


def _in_order(
  entry: Mapping[str, Any], keys: Mapping[str, Key]
) -> dict[str, Any]:
  """Returns the entry with its keys in the order of the documentation."""
  return {key: entry[key] for key in keys if key in entry}


def _sorted(value: Any) -> Any:
  """Returns the value with the keys of all mappings sorted."""
  if isinstance(value, Mapping):
    return {key: _sorted(value[key]) for key in sorted(value)}
  if isinstance(value, list | tuple):
    return [_sorted(entry) for entry in value]
  return value


def _by_share(item: tuple[str, Any]) -> float:
  """Sorts risks by coverage."""
  return float(item[0])


def _to_python(value: Any) -> Any:
  """Turns a numpy scalar into the Python number that JSON knows."""
  return value.item()
