"""What an evaluation has left is checked before a report is made of it.

Everything here can be made anew, so a reader of damaged or foreign content is
told so by `BadValue`, and evaluates again.
"""

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common_lib import files, json_values, npz
from common_lib.errors import UserError
from common_lib.json_values import BadValue
from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.ranking import BUDGETS
from fsnet_jax.report import metrics_json

# What tables show of a budget's segments; more may stand beside it.
_OF_SEGMENTS = ('siou', 'ppv', 'f1', 'flagged')
# What a comparison shows of a detector beyond what every report has.
_OF_DETECTORS = (
  'image_mean',
  'caught_at_budget',
  'risk_at_coverage_class_macro',
)
_DRAWS = 'draws/'


def read_object(path: Path) -> dict[str, Any]:
  """A JSON object; BadValue where there is none that can be read."""
  try:
    return files.read_json_object(path, what='a result', fix='evaluate again')
  except UserError as error:
    raise BadValue(str(error)) from error


def check_has(found: Any, what: str, names: Collection[str]) -> None:
  """Raises BadValue unless an object has these fields, whatever beside."""
  if not isinstance(found, Mapping):
    raise BadValue(f'{what} is no object but {json_values.shown(found)}')
  for name in names:
    if name not in found:
      raise BadValue(f'{what} has no {name}')


def check_metrics(
  metrics: Any,
  datasets: Collection[str],
  detectors: Collection[str] | None = None,
) -> None:
  """Raises BadValue unless these are metrics that a table can be made of.

  They lie in an ordinary run, which somebody may have evaluated since on other
  data or with other detectors.

  Args:
    metrics: contents of a `metrics.json`.
    datasets: that it must be of, these and no others.
    detectors: likewise; None for any.
  """
  problem = metrics_json.problem_of(metrics)
  if problem:
    raise BadValue(problem)
  if set(metrics['datasets']) != set(datasets):
    raise BadValue('the metrics are of other data sets')
  for name, entry in metrics['datasets'].items():
    if detectors is not None and set(entry['failure']) != set(detectors):
      raise BadValue(f'the metrics of {name} are of other detectors')


def check_compared(metrics: Mapping[str, Any]) -> None:
  """Raises BadValue unless a comparison has added its own to the metrics.

  Args:
    metrics: that `check_metrics` has nothing against.
  """
  for name, entry in metrics['datasets'].items():
    for detector in entry['failure'].values():
      check_has(detector, name, _OF_DETECTORS)


def check_segments(found: Any, detectors: Collection[str]) -> None:
  """Raises BadValue unless this is one data set's `segments`."""
  json_values.fields(found, 'segments', detectors)
  for detector in detectors:
    json_values.fields(found[detector], detector, BUDGETS)
    for budget in BUDGETS:
      of_budget = found[detector][budget]
      check_has(of_budget, budget, _OF_SEGMENTS)
      for key, value in of_budget.items():
        _check_known(value, key)


def check_resolution(found: Any, detectors: Collection[str]) -> None:
  """Raises BadValue unless this is one data set's `resolution`."""
  json_values.fields(found, 'resolution', detectors)
  for detector in detectors:
    json_values.fields(found[detector], detector, bootstrap.METRICS)
    for metric in bootstrap.METRICS:
      _check_known(found[detector][metric], metric)


def read_draws(
  path: Path, detectors: Collection[str], resamples: int
) -> dict[str, dict[str, np.ndarray]]:
  """The metrics of each draw, by detector and metric float64 [r].

  Args:
    path: of the file with a data set's images and draws.
    detectors: that it must hold.
    resamples: r.

  Raises:
    BadValue: it is damaged or of others.
  """
  try:
    arrays = npz.read_npz(path, what='draws', fix='-', prefix=_DRAWS)
  except UserError as error:
    raise BadValue(str(error)) from error
  json_values.fields(arrays, 'draws', [_DRAWS + name for name in detectors])
  found = {}
  for name in detectors:
    rows = arrays[_DRAWS + name]
    if rows.shape != (len(bootstrap.METRICS), resamples):
      raise BadValue(f'draws of {name} have the shape {rows.shape}')
    if rows.dtype != np.float64:
      raise BadValue(f'draws of {name} are of the type {rows.dtype}')
    found[name] = dict(zip(bootstrap.METRICS, rows))
  return found


def _check_known(value: Any, what: str) -> None:
  """Raises BadValue unless the value is a number or None."""
  if value is not None:
    json_values.number(value, what, -math.inf)
