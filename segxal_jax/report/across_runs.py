"""One row of a table from several runs: what they measured at their end."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from segxal_jax.loop.cycle_files import NEAR

# Measured cycles of one run.
Cycles = Sequence[Mapping[str, Any]]
# By row of the table and number of the run (its seed, or its fold).
Results = Mapping[str, Mapping[int, Cycles]]
UNDEFINED = '\N{EM DASH}'


def miou(run: Cycles, dataset: str) -> float | None:
  """Of the last cycle, 0 to 1."""
  return run[-1]['datasets'][dataset]['segmentation']['miou']


def near_meters(runs: Iterable[Cycles], dataset: str) -> float | None:
  """What is nearer counts as near; None where nobody measured that.

  The same for all: a value of another distance is as good as none.
  """
  found = (run[-1]['datasets'][dataset].get(NEAR) for run in runs if run)
  return next((near['meters'] for near in found if near), None)


def near_miou(entry: Mapping[str, Any], meters: float | None) -> float | None:
  """Of the pixels nearer than that, 0 to 1.

  Args:
    entry: of a cycle's `datasets`.
    meters: of `near_meters`.
  """
  near = entry.get(NEAR)
  return near['miou'] if near and near['meters'] == meters else None


def near_title(meters: float | None) -> str:
  """Of a column; without depth nothing is known as near."""
  return 'near' if meters is None else f'nearer than {meters:g} m'


def class_std(run: Cycles, dataset: str) -> float | None:
  """The population's deviation over classes of IoU: the paper's "STD"."""
  iou = run[-1]['datasets'][dataset]['segmentation']['iou']
  known = [value for value in iou.values() if value is not None]
  return statistics.pstdev(known) if known else None


def spread(values: Sequence[float | None]) -> dict[str, float | None]:
  """Mean and sample deviation; None where one run has no value."""
  known = [value for value in values if value is not None]
  if len(known) < len(values) or not known:
    return {'mean': None, 'std': None}
  std = statistics.stdev(known) if len(known) > 1 else None
  return {'mean': statistics.fmean(known), 'std': std}


def class_iou(runs: Sequence[Cycles], dataset: str) -> dict[str, float | None]:
  """After the last cycle, by class: mean over the runs where it occurs."""
  last = [run[-1]['datasets'][dataset]['segmentation']['iou'] for run in runs]
  result = {}
  for name in last[0]:
    known = [iou[name] for iou in last if iou[name] is not None]
    result[name] = statistics.fmean(known) if known else None
  return result


def percent(value: float | None, digits: int = 1) -> str:
  """A fraction in percent, or a dash."""
  return UNDEFINED if value is None else f'{100 * value:.{digits}f}'


def cell(value: Mapping[str, float | None]) -> str:
  """A `spread` in percent."""
  if value['mean'] is None:
    return UNDEFINED
  text = percent(value['mean'], 2)
  return (
    text if value['std'] is None else f'{text} ± {percent(value["std"], 2)}'
  )
