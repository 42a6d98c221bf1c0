"""One row of a table from several runs: what they measured at their end."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

# Measured cycles of one run.
Cycles = Sequence[Mapping[str, Any]]
# By row of the table and number of the run (its seed, or its fold).
Results = Mapping[str, Mapping[int, Cycles]]
UNDEFINED = '\N{EM DASH}'


def miou(run: Cycles, dataset: str) -> float | None:
  """Of the last cycle, 0 to 1."""
  return run[-1]['datasets'][dataset]['segmentation']['miou']


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
