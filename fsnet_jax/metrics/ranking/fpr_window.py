"""The pixels around the two thresholds of FPR95, kept as they are.

FPR95 reads the order of pixels at one place: the score above which 95 % of
the wrong (or right) pixels lie. A histogram knows that place to one bin, and
the order within it not at all. So all pixels of the bins around it are kept
beside the histogram. Which bins those are follows from what has been seen so
far; as more comes they become fewer. Where the threshold has moved out of
them in the end, FPR95 is what the bin alone tells. The other metrics gain a
little, since the order within two bins is known.
"""

import dataclasses
import math

import numpy as np
from jaxtyping import Int64, UInt16, UInt32

from fsnet_jax.metrics.ranking.binned import BinTable
from fsnet_jax.metrics.ranking.fpr95 import threshold
from fsnet_jax.metrics.ranking.pixels import rank_pixels
from fsnet_jax.metrics.ranking.ranking import Ranking
from fsnet_jax.metrics.ranking.score_keys import NUM_BINS

#: Pixels that are kept at most, 5 bytes each, after each addition.
NEAR_PIXELS = 1 << 21

# How many pixels each threshold keeps on either side. It moves while images
# are added, and where it ends must be among them: it moves less the more there
# are, as a mean does, so of n pixels it keeps sqrt(n) times this, and at most
# this share of the limit. (4 % of the first twelve million, 0.7 % of 65.)
_SIDE = 128
_SIDE_SHARE = 7 / 32


@dataclasses.dataclass(frozen=True)
class NearThresholds:
  """Immutable; `add` and `merge` return new objects.

  Attributes:
    windows: int64 [2 2], first and last bin whose pixels are all kept, around
      the threshold of the wrong and around that of the right pixels; none
      where the first is above the last.
    keys: chunks of uint32, score keys, those of `windows` among them.
    wrong: chunks of bool of the same lengths.
    limit: pixels kept at most.
  """

  windows: Int64[np.ndarray, '2 2']
  keys: tuple[np.ndarray, ...] = ()
  wrong: tuple[np.ndarray, ...] = ()
  limit: int = NEAR_PIXELS

  @classmethod
  def empty(cls, limit: int = NEAR_PIXELS) -> 'NearThresholds':
    """No pixel yet, and every bin wanted."""
    return cls(np.array([[0, NUM_BINS - 1]] * 2), limit=limit)

  def __len__(self) -> int:
    return sum(map(len, self.keys))

  def narrowed(
    self, table: BinTable, *, final: bool = False
  ) -> 'NearThresholds':
    """Returns the same with windows that fit what is known of the thresholds.

    Args:
      table: of all pixels so far.
      final: whether no more will come, so that no threshold moves.
    """
    counts = table.pooled()
    side = _SIDE * math.sqrt(counts.sum())
    side = int(min(side, self.limit * _SIDE_SHARE))
    reach = 0 if final else side
    whole = (0, NUM_BINS - 1)  # Without an error yet, any bin may be the one.
    windows = [
      _around(counts, counts[1][::-1], side, reach, flip=True) or whole,
      _around(counts, counts[0], side, reach, flip=False) or whole,
    ]
    return dataclasses.replace(
      self, windows=_common(self.windows, np.array(windows))
    )

  def ranges(self, table: BinTable) -> UInt32[np.ndarray, '2 2']:
    """Lowest and highest key in each window; the first above for none."""
    return np.array(
      [_range(table, first, last) for first, last in self.windows.tolist()],
      np.uint32,
    )

  def add(
    self,
    keys: UInt32[np.ndarray, ' q'],
    codes: UInt16[np.ndarray, ' q'],
    table: BinTable,
  ) -> 'NearThresholds':
    """Returns the pixels with others added.

    Args:
      keys: score keys, those in the windows among them.
      codes: as `PixelKeys.codes`; all count.
      table: of all pixels so far, these included.
    """
    places = np.flatnonzero(self._wanted(keys, table))
    more = dataclasses.replace(
      self,
      keys=(*self.keys, keys[places]),
      wrong=(*self.wrong, (codes[places] & 1).astype(bool)),
    )
    return more._relieved(table)

  def merge(self, other: 'NearThresholds', table: BinTable) -> 'NearThresholds':
    """Returns the pixels of both, where both kept all.

    Args:
      other: of other pixels.
      table: of all pixels of both.
    """
    both = NearThresholds(
      _common(self.windows, other.windows),
      self.keys + other.keys,
      self.wrong + other.wrong,
      self.limit,
    )
    return both.narrowed(table)._relieved(table)

  def arrays(self) -> tuple[np.ndarray, np.ndarray]:
    """All keys, and which of them are wrong, each in one array."""
    return (
      np.concatenate([np.zeros(0, np.uint32), *self.keys]),
      np.concatenate([np.zeros(0, bool), *self.wrong]),
    )

  def refine(self, table: BinTable) -> Ranking:
    """Ranks all pixels by bin, and by score in the bins that FPR95 reads.

    Args:
      table: of all pixels.

    Returns:
      The ranking, with those two steps taken apart whose pixels are all here.
    """
    ranking, bins = table.ranking(table.pooled())
    if not 0 < ranking.errors < ranking.pixels:
      return ranking
    last = len(bins) - 1
    places = {
      _threshold(ranking.wrong),
      last - _threshold(ranking.swapped.wrong),
    }
    all_keys, all_wrong = self.arrays()
    for place in sorted(places, reverse=True):  # the later steps stay in place
      low, high = _range(table, *[int(bins[place])] * 2)
      # Much faster than indexing by a mask.
      here = np.flatnonzero((all_keys >= low) & (all_keys <= high))
      keys, wrong = all_keys[here], all_wrong[here]
      counts = int((~wrong).sum()), int(wrong.sum())
      if counts == (ranking.correct[place], ranking.wrong[place]):
        ranking = _spliced(
          ranking, place, rank_pixels(keys[~wrong], keys[wrong])
        )
    return ranking

  def _relieved(self, table: BinTable) -> 'NearThresholds':
    """Without the pixels that are in no window, if there are too many."""
    if len(self) <= self.limit:
      return self
    keys, wrong = self.arrays()
    # Much faster than indexing by a mask.
    places = np.flatnonzero(self._wanted(keys, table))
    if len(places) > self.limit:
      # All is wanted still, for want of errors: let it go.
      return dataclasses.replace(
        self, windows=np.array([[1, 0]] * 2), keys=(), wrong=()
      )
    return dataclasses.replace(
      self, keys=(keys[places],), wrong=(wrong[places],)
    )

  def _wanted(self, keys: np.ndarray, table: BinTable) -> np.ndarray:
    """Which keys are in a window."""
    (low, high), other = self.ranges(table).tolist()
    wanted = (keys >= low) & (keys <= high)
    if other != [low, high]:
      wanted |= (keys >= other[0]) & (keys <= other[1])
    return wanted


def _threshold(positives: np.ndarray) -> int:
  """The step at which 95 % of the positives are found."""
  return int(threshold(np.cumsum(positives))[0])


def _common(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  """The bins that are in the windows of both."""
  return np.stack(
    [
      np.maximum(one[:, 0], other[:, 0]),
      np.minimum(one[:, 1], other[:, 1]),
    ],
    axis=1,
  )


def _range(table: BinTable, first: int, last: int) -> tuple[int, int]:
  """Lowest and highest key in some bins; the first above for none."""
  if first > last:
    return 0xFFFFFFFF, 0
  return (
    int(table.lowest[first : last + 1].min()),
    int(table.highest[first : last + 1].max()),
  )


def _around(
  counts: np.ndarray,
  positives: np.ndarray,
  side: int,
  reach: int,
  *,
  flip: bool,
) -> tuple[int, int] | None:
  """First and last bin around the one that holds 95 % of the positives.

  Args:
    counts: int64 [2 n], all pixels by bin.
    positives: int64 [n], from the bin that is flagged first.
    side: pixels that the bin may hold at most.
    reach: pixels to keep below and above it, at most `side`.
    flip: whether `positives` run from the last bin to the first.

  Returns:
    Bins; none (1, 0) where that bin holds more than `side` pixels itself,
    which happens to scores that are the same for many. None without
    positives.
  """
  found = np.cumsum(positives)
  if not found[-1]:
    return None
  bin_ = int(threshold(found)[0])
  bin_ = len(positives) - 1 - bin_ if flip else bin_
  total = counts.sum(axis=0)
  if total[bin_] > side:
    return 1, 0
  up_to = np.cumsum(total)
  before = up_to - total
  return (
    int(np.searchsorted(before, before[bin_] - reach)),
    int(np.searchsorted(up_to, up_to[bin_] + reach, side='right')) - 1,
  )


def _spliced(ranking: Ranking, place: int, part: Ranking) -> Ranking:
  """The ranking with `part` in the place of one step."""

  def swap(whole: np.ndarray, inner: np.ndarray) -> np.ndarray:
    return np.concatenate([whole[:place], inner, whole[place + 1 :]])

  return Ranking(
    swap(ranking.correct, part.correct),
    swap(ranking.wrong, part.wrong),
    swap(ranking.tied, part.tied),
  )
