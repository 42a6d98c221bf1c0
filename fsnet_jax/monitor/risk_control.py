"""Thresholds whose risk is bounded with a stated confidence.

A pixel passes where its failure score is at most the threshold. Each unit (an
image, or a group of images that were not taken independently; never a pixel)
has a loss in [0, 1] at each threshold, and the risk of a threshold is the
expected loss of a unit like those it is calibrated on. What is returned is the
largest threshold of a grid such that, with probability `confidence` over the
calibration units, its risk is at most `limit`.

Learn-then-Test with fixed-sequence testing (Angelopoulos et al. 2021): the null
hypothesis "the risk at t exceeds the limit" is tested from the strictest
threshold on, each at level 1 - confidence, until one is not rejected. The grid
must have been chosen without the calibration labels. P-values: Hoeffding and
Bentkus's inequalities (Bates et al. 2021, RCPS), or betting (Waudby-Smith and
Ramdas 2024), which looks back alone and so needs units in an order that
their losses do not decide. Conformal risk control (Angelopoulos et al. 2024)
bounds the mean over calibration sets, and monotone losses, alone.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats  # pyrefly: ignore[untyped-import]

Bound = Literal['wsr', 'hb', 'crc']
BOUNDS: tuple[Bound, ...] = ('wsr', 'hb', 'crc')
# Units from which on betting is the sharper bound; chosen by number alone.
WSR_FROM = 100
# Of the largest bet that cannot lose everything.
_CAP = 0.9


@dataclasses.dataclass(frozen=True)
class Calibration:
  """A threshold and what it stands on.

  Attributes:
    threshold: pixels whose score is at most this pass.
    index: of the threshold in `grid`.
    grid: float64 [t], ascending, strictest first.
    p_values: float64 [t] of "the risk exceeds the limit"; none of `crc`.
    risks: float64 [t], mean loss of the units.
    limit: of the risk.
    confidence: that the risk is at most `limit`; of `crc`, of nothing.
    bound: how it was bounded.
    units: how many there are.
  """

  threshold: float
  index: int
  grid: np.ndarray
  p_values: np.ndarray | None
  risks: np.ndarray
  limit: float
  confidence: float
  bound: Bound
  units: int


def bound_for(units: int) -> Bound:
  """The sharper high-probability bound, by the number of units alone."""
  return 'wsr' if units >= WSR_FROM else 'hb'


def fewest_units(limit: float, confidence: float, bound: Bound) -> int:
  """Units without which no threshold is possible, even without any loss.

  59 for a limit of 5 % at 95 %; of `crc` 19.

  Args:
    limit: of the risk, in (0, 1).
    confidence: in (0, 1).
    bound: how it is bounded.
  """
  if bound == 'crc':
    return math.ceil(1 / limit - 1 - 1e-9)
  if bound == 'hb':
    return math.ceil(math.log(1 - confidence) / math.log(1 - limit) - 1e-9)
  count = 1
  while p_value(np.zeros(count), limit, 'wsr', confidence) > 1 - confidence:
    count += 1
  return count


def p_value(
  losses: npt.ArrayLike,
  limit: float,
  bound: Bound,
  confidence: float = 0.95,
) -> float:
  """P-value of "the expected loss exceeds the limit".

  Args:
    losses: [n], of the units, each in [0, 1], in an order that they do not
      decide.
    limit: in (0, 1).
    bound: 'wsr' or 'hb'.
    confidence: that the bets of 'wsr' are made for; any is valid.

  Returns:
    In [0, 1].

  Raises:
    ValueError: no losses, or some outside [0, 1]; an unknown bound.
  """
  losses = np.asarray(losses, np.float64)
  if losses.ndim != 1:
    raise ValueError(f'losses have the shape {losses.shape}, not [n]')
  return float(_p_values(losses[:, None], limit, confidence, bound)[0])


def choose_threshold(
  losses: npt.ArrayLike,
  grid: npt.ArrayLike,
  limit: float,
  confidence: float = 0.95,
  bound: Bound | None = None,
) -> Calibration | None:
  """The largest threshold whose risk is bounded.

  Args:
    losses: [n t], of each unit at each threshold, in [0, 1], units in an order
      that their losses do not decide. `crc` needs them not to fall along t.
    grid: [t], thresholds in ascending order, chosen without these losses.
    limit: of the risk, in (0, 1).
    confidence: in (0, 1).
    bound: None for `bound_for` the number of units.

  Returns:
    The threshold; None if not even the strictest one can be shown to keep the
    limit.

  Raises:
    ValueError: as `p_value`, or a grid that does not ascend or fit.
  """
  losses = np.asarray(losses, np.float64)
  grid = np.asarray(grid, np.float64)
  if losses.ndim != 2 or losses.shape[1:] != grid.shape or not grid.size:
    raise ValueError(f'losses {losses.shape} do not fit the grid {grid.shape}')
  if not np.all(np.diff(grid) > 0):
    raise ValueError('the grid of thresholds does not ascend')
  if not 0 < confidence < 1:
    raise ValueError(f'the confidence {confidence} is not between 0 and 1')
  bound = bound_for(len(losses)) if bound is None else bound
  p_values = None
  if bound == 'crc':
    _check(losses, limit)
    risks = losses.mean(axis=0)
    kept = len(losses) * risks + 1 <= limit * (len(losses) + 1)
  else:
    p_values = _p_values(losses, limit, confidence, bound)
    risks = losses.mean(axis=0)
    kept = p_values <= 1 - confidence
  count = len(grid) if kept.all() else int(np.argmin(kept))
  if not count:
    return None
  return Calibration(
    threshold=float(grid[count - 1]),
    index=count - 1,
    grid=grid,
    p_values=p_values,
    risks=risks,
    limit=limit,
    confidence=confidence,
    bound=bound,
    units=len(losses),
  )


def _check(losses: np.ndarray, limit: float) -> None:
  """Raises ValueError for losses or a limit that no bound is about."""
  if not len(losses):
    raise ValueError('there are no losses')
  # NaN is in no range.
  if not np.all((losses >= 0) & (losses <= 1)):
    raise ValueError('losses are not in [0, 1]')
  if not 0 < limit < 1:
    raise ValueError(f'the limit {limit} is not between 0 and 1')


def _p_values(
  losses: np.ndarray, limit: float, confidence: float, bound: str
) -> np.ndarray:
  """P-values of the columns."""
  _check(losses, limit)
  if bound == 'hb':
    return _hoeffding_bentkus(losses.mean(axis=0), len(losses), limit)
  if bound == 'wsr':
    return _betting(losses, limit, confidence)
  raise ValueError(f'unknown bound {bound!r}: one of wsr, hb')


def _hoeffding_bentkus(
  risks: np.ndarray, count: int, limit: float
) -> np.ndarray:
  """The smaller of both inequalities' p-values (Bates et al. 2021, eq. 15)."""
  low = np.minimum(risks, limit)
  with np.errstate(divide='ignore', invalid='ignore'):
    first = np.where(low > 0, low * np.log(low / limit), 0.0)
  # xlog1py by hand: 1 - low is at least 1 - limit, which is positive.
  divergence = first + (1 - low) * np.log((1 - low) / (1 - limit))
  hoeffding = np.exp(-count * divergence)
  # A mean of integers may be off by its rounding: 3.0000000000000004 is 3.
  wrong = np.ceil(np.round(count * risks, 9))
  bentkus = math.e * stats.binom.cdf(wrong, count, limit)
  return np.minimum(1.0, np.minimum(hoeffding, bentkus))


def _betting(losses: np.ndarray, limit: float, confidence: float) -> np.ndarray:
  """1 / the largest wealth of who bets on losses below the limit.

  Wealth K_m = prod_i (1 + b_i (limit - L_i)) is a supermartingale where the
  risk exceeds the limit, whatever earlier losses decide of the bet b_i; by
  Ville's inequality its maximum exceeds 1/p with probability p at most.
  """
  count = len(losses)
  ranks = np.arange(1, count + 1)[:, None]
  means = (0.5 + np.cumsum(losses, axis=0)) / (ranks + 1)
  spread = np.cumsum((losses - means) ** 2, axis=0)
  variances = (0.25 + spread) / (ranks + 1)
  # Of the losses before each: the first bet knows none.
  before = np.vstack([np.full((1, losses.shape[1]), 0.25), variances[:-1]])
  bets = np.sqrt(2 * math.log(1 / (1 - confidence)) / (count * before))
  bets = np.minimum(bets, _CAP / (1 - limit))
  wealth = np.cumsum(np.log1p(bets * (limit - losses)), axis=0)
  return np.exp(-np.maximum(wealth.max(axis=0), 0.0))
