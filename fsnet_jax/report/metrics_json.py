"""Writes `metrics.json`: checked, and in the documented order of keys."""

import json
import os
from collections.abc import Mapping
from typing import Any

from common_lib import files
from fsnet_jax.report.schema import (
  BY_SHARE,
  DATASET_KEYS,
  DETECTOR_KEYS,
  GROUPS,
  RUN_KEYS,
  SEGMENTATION_KEYS,
  Key,
  validate,
)


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
  if 'per_class' in detector:
    ordered['per_class'] = {
      name: _in_order(measures, GROUPS['per_class'])
      for name, measures in detector['per_class'].items()
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
