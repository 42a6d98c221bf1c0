"""Rankings of the pixels as a whole and by class -> the reported numbers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from fsnet_jax.metrics.calibration import Calibration
from fsnet_jax.metrics.ranking.error_bounds import metric_bounds
from fsnet_jax.metrics.ranking.ranking import (
  COVERAGES,
  METRICS,
  Ranking,
  caught_at_budget,
  coverage_at_risk,
  ranking_metrics,
  risk_at_coverage,
)


def summarise(
  pooled: Ranking,
  groups: Sequence[Ranking],
  calibration: Calibration,
  names: Sequence[str] | None = None,
) -> dict[str, Any]:
  """Makes the entry of one failure detector in `metrics.json`.

  Args:
    pooled: all pixels in one ranking.
    groups: the pixels of each group, usually a true class, ranked alone.
    calibration: sums for the calibration error.
    names: of the groups; None names them '0', '1', ...

  Returns:
    A nested dict of Python numbers and None where a value is not defined:
    * `pooled`: `ranking.METRICS`, `ece`, `base_error_rate`, `pixels` and
      `errors` over all pixels;
    * `pooled_bounds`: for each of `ranking.METRICS` the lowest and the highest
      value that the unbinned scores can have; None where not defined;
    * `class_macro`: the mean of each metric over the groups for which it is
      defined;
    * `class_macro_classes`: how many groups those are;
    * `risk_at_coverage`: pooled risk at '0.1' to '1.0';
    * `risk_at_coverage_class_macro`: its mean over the groups with pixels;
    * `caught_at_budget`: share of the errors among the most suspicious '0.01',
      '0.05' and '0.1' of all pixels;
    * `coverage_at_risk`: largest share of pixels, most trusted first, of
      which at most '0.01', '0.05' and '0.1' are wrong;
    * `per_class`: what `pooled` has, by name of the group.

  Raises:
    ValueError: if the number of names is not that of the groups.
  """
  names = group_names(len(groups), names)
  sizes = np.array([group.pixels for group in groups], np.int64)
  *group_ece, pooled_ece = calibration.errors(sizes)
  per_class = {
    name: ranking_metrics(group) | {'ece': ece}
    for name, group, ece in zip(names, groups, group_ece)
  }
  risks = [risk_at_coverage(group) for group in groups]
  values = ranking_metrics(pooled)
  return {
    'pooled': values | {'ece': pooled_ece},
    'pooled_bounds': metric_bounds(pooled, values),
    **_macro(per_class),
    'risk_at_coverage': risk_at_coverage(pooled),
    'risk_at_coverage_class_macro': {
      coverage: _mean(_defined(risk[coverage] for risk in risks))
      for coverage in COVERAGES
    },
    'caught_at_budget': caught_at_budget(pooled),
    'coverage_at_risk': coverage_at_risk(pooled),
    'per_class': per_class,
  }


def _macro(per_class: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
  """`class_macro` and `class_macro_classes` of `summarise`."""
  defined = {
    metric: _defined(values[metric] for values in per_class.values())
    for metric in (*METRICS, 'ece')
  }
  return {
    'class_macro': {name: _mean(values) for name, values in defined.items()},
    'class_macro_classes': {
      name: len(values) for name, values in defined.items()
    },
  }


def group_names(num_groups: int, names: Sequence[str] | None) -> Sequence[str]:
  """The names, or '0', '1', ... for None.

  Raises:
    ValueError: if the number of names is not that of the groups.
  """
  if names is None:
    return [str(index) for index in range(num_groups)]
  if len(names) != num_groups:
    raise ValueError(f'{len(names)} names for {num_groups} groups')
  return names


def _defined(values: Iterable[float | None]) -> list[float]:
  return [value for value in values if value is not None]


def _mean(values: Sequence[float]) -> float | None:
  return float(np.mean(values)) if values else None
