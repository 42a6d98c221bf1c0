"""Every detector less MSP and less FSNet, with 95 % intervals, in any report.

Both detectors judge the same errors of one network on the same images, so what
makes an image hard cancels in the difference. Whole units are drawn with
replacement (`bootstrap`): sequences where a data set names enough of them, for
frames of one drive resemble each other, else images.
"""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.metrics.resampling_units import LEAST_IMAGES, Units, units_of

#: Detectors that the others are held against, where they are evaluated.
REFERENCES = ('msp', 'fsnet')

#: Metrics whose differences have an interval.
METRICS = (
  'auroc',
  'fpr95_error',
  'ap_error',
  'aurc',
  'augrc',
  'coverage_at_5_risk',
)

#: Of those, metrics on which the best baseline is looked for, and whether the
#: lowest value is the best.
AGAINST_BEST = {
  'auroc': False,
  'fpr95_error': True,
  'ap_error': False,
  'coverage_at_5_risk': False,
}

#: Draws of each interval.
RESAMPLES = 500


def paired_differences(
  tables: Mapping[str, ImageTable],
  pooled: Mapping[str, Mapping[str, Any]],
  sequence: np.ndarray,
  resamples: int = RESAMPLES,
) -> dict[str, dict[str, Any]]:
  """The differences of every detector, for its entry in `metrics.json`.

  The draws depend on the number of units alone, so that two runs on the same
  images see the same ones. What the ranges of score cost the resampled metrics
  is taken off: the interval lies about the exact difference.

  Args:
    tables: by detector, every image of a data set.
    pooled: by detector, the exact metrics of all pixels, None where not
      defined.
    sequence: as `units_of` takes it.
    resamples: draws of the bootstrap.

  Returns:
    By detector `difference_to_msp` and `difference_to_fsnet`: for each of
    `METRICS` the `difference` (detector less reference), the `low` and `high`
    end of its 95 % percentile interval, the `unit` drawn, how many `units`
    there are, and `resamples`. A metric is None where it is not defined: fewer
    than `LEAST_IMAGES` units, or no error in half of the draws. All
    is None for the reference itself and where it was not evaluated.
  """
  found: dict[str, dict[str, Any]] = {
    name: {f'difference_to_{one}': None for one in REFERENCES}
    for name in tables
  }
  references = [one for one in REFERENCES if one in tables]
  if not references or len(tables) < 2:
    return found
  units = units_of(sequence)
  draws = _draws(tables, pooled, units, resamples)
  for name in tables:
    for reference in references:
      if name != reference:
        found[name][f'difference_to_{reference}'] = {
          metric: _interval(metric, name, reference, pooled, draws, units)
          for metric in METRICS
        }
  return found


def _draws(
  tables: Mapping[str, ImageTable],
  pooled: Mapping[str, Mapping[str, Any]],
  units: Units,
  resamples: int,
) -> dict[str, dict[str, np.ndarray]]:
  """By detector and metric each draw, float64 [r]; empty if too few units."""
  if units.count < LEAST_IMAGES:
    return {}
  weights = bootstrap.draws(units.count, resamples)
  # Each unit once, before the draws: what is known exactly.
  weights = np.concatenate([np.ones_like(weights[:1]), weights])
  found = {}
  for name, table in tables.items():
    if units.name != 'image':
      table = table.joined(units.of_image)
    values = bootstrap.resampled(table, weights, METRICS)
    found[name] = {
      metric: rows[1:] - rows[0] + pooled[name][metric]
      for metric, rows in values.items()
      if pooled[name][metric] is not None
    }
  return found


def _interval(
  metric: str,
  name: str,
  reference: str,
  pooled: Mapping[str, Mapping[str, Any]],
  draws: Mapping[str, Mapping[str, np.ndarray]],
  units: Units,
) -> dict[str, Any] | None:
  """One entry of `paired_differences`."""
  mine, other = (draws.get(one, {}).get(metric) for one in (name, reference))
  if mine is None or other is None:
    return None
  difference = pooled[name][metric] - pooled[reference][metric]
  interval = bootstrap.paired_interval(
    difference, mine[None], other[None], units.count
  )
  if interval is None:
    return None
  return interval._asdict() | {
    'unit': units.name,
    'units': units.count,
    'resamples': len(mine),
  }


def difference_to_best_baseline(
  pooled: Mapping[str, Mapping[str, Any]],
  differences: Mapping[str, Mapping[str, Any]],
  baselines: Collection[str],
) -> dict[str, dict[str, Any] | None] | None:
  """FSNet less the baseline that is best, which each metric has its own of.

  The best is chosen on the very images that it is measured on, so chance is on
  its side: that makes FSNet look worse, never better.

  Args:
    pooled: by detector, the exact metrics of all pixels, None where not
      defined.
    differences: by detector, of `paired_differences`.
    baselines: the detectors that are no part of FSNet; of equals the first
      is the best.

  Returns:
    By metric of `AGAINST_BEST` the `baseline`, and FSNet less it as
    `paired_differences` gives it. None for a metric that is not defined or has
    no interval; None in all where there is no FSNet or no baseline.
  """
  if 'fsnet' not in pooled or not baselines:
    return None
  return {
    metric: _to_best(metric, lowest, pooled, differences, baselines)
    for metric, lowest in AGAINST_BEST.items()
  }


def _to_best(
  metric: str,
  lowest: bool,
  pooled: Mapping[str, Mapping[str, Any]],
  differences: Mapping[str, Mapping[str, Any]],
  baselines: Collection[str],
) -> dict[str, Any] | None:
  """One entry of `difference_to_best_baseline`."""
  values = {name: pooled[name][metric] for name in baselines}
  known = {name: one for name, one in values.items() if one is not None}
  if not known:
    return None
  best = (min if lowest else max)(known, key=lambda name: known[name])
  theirs = (differences[best]['difference_to_fsnet'] or {}).get(metric)
  if theirs is None:
    return None
  # The other way round.
  turned = {
    'difference': -theirs['difference'],
    'low': -theirs['high'],
    'high': -theirs['low'],
  }
  return {'baseline': best, **theirs, **turned}
