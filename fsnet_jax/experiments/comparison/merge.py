"""Seeds -> `compare.json`: means, spreads and paired differences."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.detectors import FailureDetector, fitted_name
from fsnet_jax.experiments.comparison import cells
from fsnet_jax.experiments.comparison.evaluation import SeedResult
from fsnet_jax.metrics import bootstrap
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
  results: Sequence[SeedResult], config: Any, reference: str
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


def is_whole(content: Any) -> bool:
  """Whether this is a `compare.json` that this version reads.

  Args:
    content: what a JSON file of that name holds.
  """
  if not isinstance(content, dict) or content.get('schema') != SCHEMA:
    return False
  datasets = content.get('datasets')
  return (
    isinstance(content.get('network'), str)
    and isinstance(datasets, dict)
    and len(datasets) > 0
    and all(
      isinstance(entry, dict) and 'failure' in entry
      for entry in datasets.values()
    )
  )


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
      key: spread([entry[group][key] for entry in entries])
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
