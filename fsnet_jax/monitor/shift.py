"""Whether new images are like those that a threshold was calibrated on.

No guarantee survives a shift, so it is looked for, in the statistics of
`monitor.statistics`: in a folder by a two-sample Kolmogorov-Smirnov test of
each, in a stream by a conformal test martingale, whose alarms stay rare however
long the stream is. Not to find a shift is no proof that there is none.
"""

from __future__ import annotations

import bisect
import dataclasses
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from common_lib import random_streams
from fsnet_jax.monitor import statistics

LEVEL = 0.01
# By statistic, the values of some images.
Values = Mapping[str, Sequence[float] | np.ndarray]

# Exponents of the bets p^(e-1), on values that are larger than those before,
# and likewise on smaller ones.
_EXPONENTS = (0.2, 0.5, 0.8)
# Of the wealth of each bet, what goes over to all bets at each step, so that
# a shift that comes late finds money on the right one.
_JUMP = 0.01
_SMALLEST = 1e-9


@dataclasses.dataclass(frozen=True)
class ShiftTest:
  """What a folder's test found.

  Attributes:
    p_value: in [0, 1], of "the images are drawn as the reference was"; the
      smallest of the statistics' times their number.
    statistic: whose it is.
    images: how many were compared.
    references: with how many.
  """

  p_value: float
  statistic: str
  images: int
  references: int

  def found(self, level: float = LEVEL) -> bool:
    """Whether there is a shift, by a test that is wrong at that rate."""
    return self.p_value <= level


def compare(
  reference: Values,
  found: Values,
) -> ShiftTest:
  """Kolmogorov and Smirnov's test of each statistic, with Bonferroni's factor.

  It takes images for independent: frames of one drive look shifted to it.

  Args:
    reference: by statistic, of the calibration images; at least one.
    found: likewise of the new images; at least one.
  """
  # A robot that only watches a stream need not have it.
  from scipy import stats  # pyrefly: ignore[untyped-import]

  values = {}
  for name in statistics.NAMES:
    with warnings.catch_warnings():
      # That it changes from the exact to the asymptotic distribution.
      warnings.simplefilter('ignore', RuntimeWarning)
      tested = stats.ks_2samp(reference[name], found[name])
    values[name] = float(tested.pvalue)
  name = min(statistics.NAMES, key=lambda one: values[one])
  first = statistics.NAMES[0]
  return ShiftTest(
    p_value=min(1.0, values[name] * len(statistics.NAMES)),
    statistic=name,
    images=len(found[first]),
    references=len(reference[first]),
  )


class ConformalMartingale:
  """Money that grows where values stop being like those before them.

  Each value gets its conformal p-value among the reference and all values
  since. As long as all of them are exchangeable these are independent and
  uniform, whatever the distribution, and no bet on them gains on average:
  with probability 1 - delta `wealth` never reaches 1 / delta (Ville's
  inequality), however long the stream. The bets are Vovk's power martingales
  on small and on large p, between which a share of the money moves at each
  step (the "simple jumper" of Vovk et al., COPA 2021).

  Attributes:
    wealth: now; 1 before the first value.
    count: values since the reference.
  """

  def __init__(self, reference: Iterable[float], seed: int = 0):
    """Starts with the wealth of 1.

    Args:
      reference: values, in any order.
      seed: of the draws that part equal values.
    """
    self._sorted = sorted(float(value) for value in reference)
    derived = random_streams.derived(seed, 'conformal')
    self._rng = np.random.default_rng(derived)
    bets = 2 * len(_EXPONENTS) + 1
    self._wealth = np.full(bets, 1 / bets)
    self.count = 0

  @property
  def wealth(self) -> float:
    """See above."""
    return float(self._wealth.sum())

  def update(self, value: float) -> float:
    """Bets on the next value; returns the wealth after it."""
    p = self._p_value(float(value))
    self._wealth = (1 - _JUMP) * self._wealth + _JUMP * self._wealth.mean()
    small, large = max(p, _SMALLEST), max(1 - p, _SMALLEST)
    gains = [e * small ** (e - 1) for e in _EXPONENTS]
    gains += [e * large ** (e - 1) for e in _EXPONENTS]
    self._wealth *= np.array([*gains, 1.0])
    self.count += 1
    return self.wealth

  def _p_value(self, value: float) -> float:
    """Share of the values that are larger; equal ones count by a draw."""
    left = bisect.bisect_left(self._sorted, value)
    right = bisect.bisect_right(self._sorted, value)
    larger, total = len(self._sorted) - right, len(self._sorted) + 1
    self._sorted.insert(right, value)
    return (larger + self._rng.uniform() * (right - left + 1)) / total


class StreamTest:
  """The martingales of all statistics; their mean is one, too.

  Attributes:
    alarm: name of the item at which the alarm came; '' before.
    level: probability of an alarm without a shift, ever.
  """

  def __init__(self, reference: Values, level: float = LEVEL):
    """Starts.

    Args:
      reference: by statistic, of the calibration images.
      level: see above.
    """
    self._each = {
      name: ConformalMartingale(reference[name], seed)
      for seed, name in enumerate(statistics.NAMES)
    }
    self.alarm, self.level = '', level

  def update(self, item: str, values: Mapping[str, float]) -> bool:
    """Takes the statistics of an image; True at the one alarm that there is."""
    wealth = [one.update(values[name]) for name, one in self._each.items()]
    if self.alarm or not math.fsum(wealth) / len(wealth) >= 1 / self.level:
      return False
    self.alarm = item
    return True
