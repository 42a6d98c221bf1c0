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
from jaxtyping import Array, Bool, Int64, UInt16, UInt32

from fsnet_jax.metrics.ranking.pixels import PixelKeys
from fsnet_jax.metrics.ranking.ranking import Ranking
from fsnet_jax.metrics.ranking.score_keys import NUM_BINS, key_bins

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
  none = no_pixels(pixels.num_groups)
  return without_spares(add_pixels(none, pixels.keys, pixels.codes))


def no_pixels(num_groups: int) -> BinCounts:
  """What `add_pixels` begins with; runs under jit."""
  return BinCounts(
    histogram=jnp.zeros(2 * num_groups * NUM_BINS + 1, jnp.int32),
    lowest=jnp.full(NUM_BINS + 1, _NO_LOWEST),
    highest=jnp.full(NUM_BINS + 1, _NO_HIGHEST),
  )


def add_pixels(
  counts: BinCounts, keys: UInt32[Array, ' q'], codes: UInt16[Array, ' q']
) -> BinCounts:
  """Counts pixels on top of others; runs under jit.

  Args:
    counts: from `no_pixels`; its arrays are flat, and the last entry of each
      takes the pixels that do not count, as in `sum_by_cell`.
    keys: `PixelKeys.keys`.
    codes: `PixelKeys.codes`.

  Returns:
    The counts of all, fewer than 2^31.
  """
  spare = len(counts.histogram) - 1
  codes = codes.astype(jnp.int32)
  bins = key_bins(keys)
  counted = codes < spare // NUM_BINS
  places = jnp.where(counted, codes * NUM_BINS + bins, spare)
  bins = jnp.where(counted, bins, NUM_BINS)
  mode = 'promise_in_bounds'
  return BinCounts(
    histogram=counts.histogram.at[places].add(1, mode=mode),
    lowest=counts.lowest.at[bins].min(keys, mode=mode),
    highest=counts.highest.at[bins].max(keys, mode=mode),
  )


def without_spares(counts: BinCounts) -> BinCounts:
  """The same in the shapes that `BinCounts` says."""
  return BinCounts(
    histogram=counts.histogram[:-1].reshape(-1, 2, NUM_BINS),
    lowest=counts.lowest[:-1],
    highest=counts.highest[:-1],
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
