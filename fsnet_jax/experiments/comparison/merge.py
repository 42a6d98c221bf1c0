"""Seeds -> `compare.json`: means, spreads and paired differences."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from common_lib import json_values
from common_lib.foreign import quoted
from fsnet_jax.detectors import FailureDetector, fitted_name
from fsnet_jax.experiments.comparison import cells
from fsnet_jax.experiments.comparison.evaluation import SeedResult
from fsnet_jax.experiments.stored_results import check_has
from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.ranking import COVERAGES
from fsnet_jax.report.schema import MEASURE_KEYS

SCHEMA = 1

_SEGMENTATION = (
  'miou',
  'miou_image_mean',
  'cls_acc',
  'cls_acc_image_mean',
  'pixel_acc',
  'base_error_rate',
)
# What figures show: two curves, and dots of two measures.
_CURVES = ('risk_at_coverage', 'risk_at_coverage_class_macro')
_DOTS = ('auroc', 'fpr95_error')
_SHARES = (
  'risk_at_coverage',
  'risk_at_coverage_class_macro',
  'caught_at_budget',
)


def spread(values: Sequence[float | int | None]) -> dict[str, Any]:
  """Mean and sample standard deviation over seeds.

  Args:
    values: one a seed, None where not defined.

  Returns:
    `mean`, `std` and `seeds`, the values; mean and std are None where a value
    is, and std with a single seed.
  """
  known = [float(value) for value in values if value is not None]
  complete = len(known) == len(values) > 0
  return {
    'mean': statistics.fmean(known) if complete else None,
    'std': statistics.stdev(known) if complete and len(known) > 1 else None,
    'seeds': list(values),
  }


def merge(
  results: Sequence[SeedResult], config: ConfigDict, reference: str
) -> dict[str, Any]:
  """Joins the seeds.

  Args:
    results: of at least one seed.
    config: of the comparison.
    reference: the detector that the others are held against.

  Returns:
    The contents of `compare.json`; docs/guide/comparison.md lists its keys.
  """
  first = results[0].metrics
  names = list(next(iter(first['datasets'].values()))['failure'])
  detectors = cells.detectors_of(config)
  return {
    'schema': SCHEMA,
    'network': config.segmentation.name,
    'seeds': [result.seed for result in results],
    'reference': reference,
    'environment': dict(first['environment']),
    'config': config.to_dict(),
    'methods': {name: _method(detectors[name]) for name in names},
    'costs': _costs(results),
    'datasets': {
      name: _dataset(name, results, reference) for name in first['datasets']
    },
  }


def check_whole(content: Any) -> None:
  """Raises BadValue unless figures can be made of a `compare.json`.

  Args:
    content: what a JSON file of that name holds; keys that no figure looks at
      may hold anything.
  """
  check_has(content, 'it', ('schema', 'network', 'datasets'))
  json_values.whole_number(content['schema'], 'schema', SCHEMA, SCHEMA)
  _check_shown(content['network'], 'network')
  for dataset, entry in _named(content['datasets'], 'datasets'):
    check_has(entry, dataset, ('failure',))
    for name, detector in _named(entry['failure'], dataset):
      check_has(detector, name, ('pooled', *_CURVES))
      for group, keys in (
        ('pooled', _DOTS),
        *((curve, COVERAGES) for curve in _CURVES),
      ):
        stats = detector[group]
        check_has(stats, group, keys)
        if group in _CURVES:
          json_values.fields(stats, group, keys)
        for key in keys:
          check_has(stats[key], key, ('mean',))
          if stats[key]['mean'] is not None:
            json_values.number(stats[key]['mean'], key, -0.01, 1.01)


def _named(value: Any, what: str) -> list[tuple[str, Any]]:
  """The entries of an object that is not empty, by names to be shown."""
  check_has(value, what, ())
  if not value:
    raise json_values.BadValue(f'{what} is empty')
  for name in value:
    _check_shown(name, what)
  return list(value.items())


def _check_shown(value: Any, what: str) -> None:
  """Raises BadValue unless the value is a name that a figure can show."""
  text = json_values.text(value, what)
  if quoted(text, len(text)) != text:
    raise json_values.BadValue(f'{what} is {json_values.shown(text)}')


def _method(detector: FailureDetector) -> dict[str, Any]:
  """A detector's title, and the key of its training cost if it has one."""
  key = 'fsnet' if detector.uses_failure_network else fitted_name(detector)
  return {'title': detector.title, 'cost': key or None}


def _costs(results: Sequence[SeedResult]) -> dict[str, Any]:
  """Trainings of S, seconds and images, mean over seeds."""
  return {
    name: {
      field: statistics.fmean(result.costs[name][field] for result in results)
      for field in ('trainings_of_s', 'seconds', 'images')
    }
    for name in results[0].costs
    if all(name in result.costs for result in results)
  }


def _dataset(
  dataset: str, results: Sequence[SeedResult], reference: str
) -> dict[str, Any]:
  entries = [result.metrics['datasets'][dataset] for result in results]
  alone = [result.alone['datasets'][dataset] for result in results]
  names = list(entries[0]['failure'])
  return {
    'images': entries[0]['images'],
    'pixels': entries[0]['pixels'],
    'segmentation': {
      'alone': _segmentation(alone),
      'fsnet': _segmentation(entries),
    },
    'failure': {
      name: _detector([entry['failure'][name] for entry in entries])
      for name in names
    },
    'segments': {
      name: _segments([result.segments[dataset][name] for result in results])
      for name in names
    },
    'differences': {
      name: _differences(dataset, name, reference, results)
      for name in names
      if name != reference
    },
    'resolution_error': {
      metric: _largest(
        result.resolution[dataset][name][metric]
        for result in results
        for name in names
      )
      for metric in bootstrap.METRICS
    },
  }


def _segmentation(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  return {
    key: spread([entry['segmentation'][key] for entry in entries])
    for key in _SEGMENTATION
  }


def _detector(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  """One detector's measures and curves."""
  merged = {
    group: {
      # A seed that was evaluated before a measure was added lacks it.
      key: spread([entry[group].get(key) for entry in entries])
      for key in MEASURE_KEYS
    }
    for group in ('pooled', 'class_macro')
  }
  for group in ('image_mean', *_SHARES):
    merged[group] = {
      key: spread([entry[group][key] for entry in entries])
      for key in entries[0][group]
    }
  return merged


def _segments(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
  return {
    budget: {
      key: spread([entry[budget][key] for entry in entries])
      for key in entries[0][budget]
    }
    for budget in entries[0]
  }


def _differences(
  dataset: str, name: str, reference: str, results: Sequence[SeedResult]
) -> dict[str, Any]:
  """Reference less detector: on the images, and where it lies."""
  found = {}
  for metric in bootstrap.METRICS:
    pairs = [
      tuple(
        result.metrics['datasets'][dataset]['failure'][one]['pooled'][metric]
        for one in (reference, name)
      )
      for result in results
    ]
    if any(value is None for pair in pairs for value in pair):
      found[metric] = None
      continue
    gaps = [mine - other for mine, other in pairs]
    interval = bootstrap.paired_interval(
      statistics.fmean(gaps),
      *(
        [result.resampled[dataset][one][metric] for result in results]
        for one in (reference, name)
      ),
      num_images=results[0].metrics['datasets'][dataset]['images'],
    )
    found[metric] = interval and interval._asdict() | {'seeds': gaps}
  return found


def _largest(values: Any) -> float | None:
  known = [value for value in values if value is not None]
  return max(known) if known else None
