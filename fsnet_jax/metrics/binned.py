"""Pixels counted by narrow ranges of score: on device a batch, on the host all.

The table says of each range, or bin, how many right and wrong pixels of each
group fell into it. Where all pixels of a bin have one score, which the lowest
and highest score of each bin tell, they are ranked as the tie that they are.
"""

import dataclasses
from typing import Any

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Int64, UInt32

from fsnet_jax.metrics.pixels import PixelKeys
from fsnet_jax.metrics.ranking import Ranking
from fsnet_jax.metrics.scatter import sum_by_cell
from fsnet_jax.metrics.score_keys import NUM_BINS, key_bins

_NO_LOWEST = np.uint32(0xFFFFFFFF)
_NO_HIGHEST = np.uint32(0)


@flax.struct.dataclass
class BinCounts:
  """Counts of one batch.

  Attributes:
    histogram: int32 [g 2 n], pixels by group, right (0) or wrong (1), and bin
      of the score.
    lowest: uint32 [n], the lowest score key in each bin.
    highest: uint32 [n], the highest score key in each bin.
  """

  histogram: Any
  lowest: Any
  highest: Any


def bin_counts(pixels: PixelKeys) -> BinCounts:
  """Counts the pixels of a batch, fewer than 2^31; runs under jit."""
  num_groups = pixels.num_groups
  codes = pixels.codes.astype(jnp.int32)
  bins = key_bins(pixels.keys)
  cells = 2 * num_groups * NUM_BINS
  counted = codes < 2 * num_groups
  histogram = sum_by_cell(codes * NUM_BINS + bins, counted, cells)
  # A spare bin takes the pixels that do not count, as in `sum_by_cell`.
  bins = jnp.where(counted, bins, NUM_BINS)
  lowest = jnp.full(NUM_BINS + 1, _NO_LOWEST)
  highest = jnp.full(NUM_BINS + 1, _NO_HIGHEST)
  mode = 'promise_in_bounds'
  return BinCounts(
    histogram=histogram.reshape(num_groups, 2, NUM_BINS),
    lowest=lowest.at[bins].min(pixels.keys, mode=mode)[:NUM_BINS],
    highest=highest.at[bins].max(pixels.keys, mode=mode)[:NUM_BINS],
  )


@dataclasses.dataclass(frozen=True)
class BinTable:
  """Counts of any number of pixels.

  Attributes:
    histogram: int64 [g 2 n], as in `BinCounts`.
    lowest: as in `BinCounts`.
    highest: as in `BinCounts`.
  """

  histogram: Int64[np.ndarray, 'g 2 n']
  lowest: UInt32[np.ndarray, ' n']
  highest: UInt32[np.ndarray, ' n']

  @classmethod
  def empty(cls, num_groups: int) -> 'BinTable':
    """No pixel of `num_groups` groups."""
    return cls(
      histogram=np.zeros((num_groups, 2, NUM_BINS), np.int64),
      lowest=np.full(NUM_BINS, _NO_LOWEST),
      highest=np.full(NUM_BINS, _NO_HIGHEST),
    )

  def add(self, counts: 'BinCounts | BinTable') -> 'BinTable':
    """Returns the table with the counts of a batch, or of a table, added."""
    return BinTable(
      histogram=self.histogram + counts.histogram,
      lowest=np.minimum(self.lowest, counts.lowest),
      highest=np.maximum(self.highest, counts.highest),
    )

  def group_sizes(self) -> Int64[np.ndarray, ' g']:
    """Pixels of each group."""
    return self.histogram.sum(axis=(1, 2))

  def pooled(self) -> Int64[np.ndarray, '2 n']:
    """Right and wrong pixels of each bin, of all groups."""
    return self.histogram.sum(axis=0)

  def one_score(self) -> Bool[np.ndarray, ' n']:
    """Whether all pixels of a bin have the same score."""
    return self.lowest == self.highest

  def ranking(
    self, counts: Int64[np.ndarray, '2 n']
  ) -> tuple[Ranking, Int64[np.ndarray, ' s']]:
    """Ranks the pixels of one group, or of all, by bin.

    Args:
      counts: `histogram[group]` or `pooled()`.

    Returns:
      The ranking, and the bin of each of its steps.
    """
    filled = np.flatnonzero(counts.any(axis=0))[::-1]
    correct, wrong = counts[:, filled]
    tied = self.one_score()[filled] | (correct + wrong == 1)
    return Ranking(correct, wrong, tied), filled
