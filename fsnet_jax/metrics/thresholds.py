"""The pixels around the two thresholds of FPR95, kept as they are.

FPR95 reads the order of pixels at one place: the score above which 95 % of
the wrong (or right) pixels lie. A histogram knows that place to one bin, and
the order within it not at all. So all pixels of the bins around it are kept
beside the histogram. Which bins those are follows from what has been seen so
far; as more comes they become fewer. Where the threshold has moved out of
them in the end, FPR95 is what the bin alone tells; nothing else depends on
them.
"""

import dataclasses

import numpy as np
from jaxtyping import Bool, Int64, UInt32

from fsnet_jax.metrics.binned import BinTable
from fsnet_jax.metrics.pixels import rank_pixels
from fsnet_jax.metrics.ranking import Ranking, fpr95_step
from fsnet_jax.metrics.score_keys import NUM_BINS

#: Pixels that are kept at most, 5 bytes each, after each addition.
NEAR_PIXELS = 1 << 21

# Share of the limit that each threshold keeps on either side when there are
# too many. As many as possible: the threshold moves while images are added,
# and where it ends must be among them. (At 65 million pixels of 500 images,
# 0.7 % of all pixels lie on either side in the end.)
_SIDE = 7 / 32


@dataclasses.dataclass(frozen=True)
class NearThresholds:
  """Immutable; `add` and `merge` return new objects.

  Attributes:
    windows: int64 [2 2], first and last bin whose pixels are all kept, around
      the threshold of the wrong and around that of the right pixels; none
      where the first is above the last.
    keys: uint32 [p], score keys.
    wrong: bool [p].
    limit: pixels kept at most.
  """

  windows: Int64[np.ndarray, '2 2']
  keys: UInt32[np.ndarray, ' p']
  wrong: Bool[np.ndarray, ' p']
  limit: int = NEAR_PIXELS

  @classmethod
  def empty(cls, limit: int = NEAR_PIXELS) -> 'NearThresholds':
    """No pixel yet, and every bin wanted."""
    return cls(
      np.array([[0, NUM_BINS - 1]] * 2),
      np.zeros(0, np.uint32),
      np.zeros(0, bool),
      limit,
    )

  def add(
    self,
    keys: UInt32[np.ndarray, ' q'],
    wrong: Bool[np.ndarray, ' q'],
    table: BinTable,
  ) -> 'NearThresholds':
    """Returns the pixels with others added.

    Args:
      keys: of all new pixels in a bin of `windows`.
      wrong: of the same.
      table: of all pixels so far, these included.
    """
    more = dataclasses.replace(
      self,
      keys=np.concatenate([self.keys, keys]),
      wrong=np.concatenate([self.wrong, wrong]),
    )
    return more if len(more.keys) <= self.limit else more._narrowed(table)

  def merge(self, other: 'NearThresholds', table: BinTable) -> 'NearThresholds':
    """Returns the pixels of both, where both kept all.

    Args:
      other: of other pixels.
      table: of all pixels of both.
    """
    low = np.maximum(self.windows[:, 0], other.windows[:, 0])
    high = np.minimum(self.windows[:, 1], other.windows[:, 1])
    both = NearThresholds(
      np.stack([low, high], axis=1),
      np.concatenate([self.keys, other.keys]),
      np.concatenate([self.wrong, other.wrong]),
      self.limit,
    )._inside(table)
    return both if len(both.keys) <= self.limit else both._narrowed(table)

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
      fpr95_step(ranking)[0],
      last - fpr95_step(ranking.swapped())[0],
    }
    for place in sorted(places, reverse=True):  # the later steps stay in place
      here = self._in_bins(table, *[int(bins[place])] * 2)
      keys, wrong = self.keys[here], self.wrong[here]
      counts = int((~wrong).sum()), int(wrong.sum())
      if counts == (ranking.correct[place], ranking.wrong[place]):
        ranking = _spliced(
          ranking, place, rank_pixels(keys[~wrong], keys[wrong])
        )
    return ranking

  def _narrowed(self, table: BinTable) -> 'NearThresholds':
    """Fewer pixels: those in the bins nearest to the thresholds."""
    counts = table.pooled()
    windows = np.stack(
      [
        _around(counts, counts[1][::-1], int(self.limit * _SIDE), flip=True),
        _around(counts, counts[0], int(self.limit * _SIDE), flip=False),
      ]
    )
    windows[:, 0] = np.maximum(windows[:, 0], self.windows[:, 0])
    windows[:, 1] = np.minimum(windows[:, 1], self.windows[:, 1])
    return dataclasses.replace(self, windows=windows)._inside(table)

  def _inside(self, table: BinTable) -> 'NearThresholds':
    """Only the pixels in a bin of the windows."""
    inside = np.zeros(len(self.keys), bool)
    for first, last in self.windows.tolist():
      inside |= self._in_bins(table, first, last)
    # Much faster than indexing by a mask.
    places = np.flatnonzero(inside)
    return dataclasses.replace(
      self, keys=self.keys[places], wrong=self.wrong[places]
    )

  def _in_bins(self, table: BinTable, first: int, last: int) -> np.ndarray:
    """Which of the pixels are in some bins, whose scores the table tells."""
    if first > last:
      return np.zeros(len(self.keys), bool)
    low = table.lowest[first : last + 1].min()
    high = table.highest[first : last + 1].max()
    return (self.keys >= low) & (self.keys <= high)


def _around(
  counts: np.ndarray, positives: np.ndarray, side: int, *, flip: bool
) -> tuple[int, int]:
  """First and last bin around the one that holds 95 % of the positives.

  Args:
    counts: int64 [2 n], all pixels by bin.
    positives: int64 [n], from the bin that is flagged first.
    side: pixels to keep below and above that bin.
    flip: whether `positives` run from the last bin to the first.

  Returns:
    Bins; none (1, 0) where that bin holds more than `side` pixels itself,
    which happens to scores that are the same for many.
  """
  found = np.cumsum(positives)
  bin_ = int(np.searchsorted(found, -(-19 * int(found[-1]) // 20)))
  bin_ = len(positives) - 1 - bin_ if flip else bin_
  total = counts.sum(axis=0)
  up_to = np.cumsum(total)
  before = up_to - total
  if not found[-1] or total[bin_] > side:
    return 1, 0
  return (
    int(np.searchsorted(before, before[bin_] - side)),
    int(np.searchsorted(up_to, up_to[bin_] + side, side='right')) - 1,
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
