"""Failure metrics of data of any size from mergeable integer histograms.

The device turns the pixels of a batch into keys that sort like their scores
(`failure_counts`, for use inside a compiled evaluation step); the host
collects them (`FailureHistogram`). Millions at a time they are counted by
narrow ranges of score, by group and by right or wrong. Where all pixels of a
range have one score they are treated as the tie that they are; elsewhere the
metrics take their expected value over the unknown order within the range, and
`intervals` bounds the exact value.

Two kinds of pixels are kept as they are beside the histogram: those of groups
that are small, since ranges are too coarse for few errors, so that metrics of
such groups, and of the whole data if it is small, are exact; and those around
the thresholds of FPR95 of all pixels, so that it is exact too.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Integer

from fsnet_jax.metrics.calibration import Calibration
from fsnet_jax.metrics.ranking import host_counts
from fsnet_jax.metrics.ranking.batches import Arrays, as_float32, pad_small
from fsnet_jax.metrics.ranking.binned import BinCounts, BinTable
from fsnet_jax.metrics.ranking.device_counts import (
  FailureCounts,
  jitted_failure_counts,
)
from fsnet_jax.metrics.ranking.error_bounds import Interval, metric_bounds
from fsnet_jax.metrics.ranking.fpr_window import NearThresholds
from fsnet_jax.metrics.ranking.pixels import PixelStore, raise_for_faults
from fsnet_jax.metrics.ranking.ranking import Ranking
from fsnet_jax.metrics.ranking.summary import group_names, summarise

#: Largest number of pixels of a group that are kept for exact metrics, 6
#: bytes each. With more, ranges change no metric by 1e-5, but FPR95 and, by
#: less than 1e-4, the coverage.
EXACT_PIXELS = 1 << 17

# Pixels, 6 bytes each, that wait to be counted together. The more, the closer
# to FPR95's thresholds are those that are picked from them.
_PENDING = 12 << 20


@dataclasses.dataclass(frozen=True)
class FailureHistogram:
  """Pixels of any number, counted, and the metrics they give.

  Immutable: `add`, `update` and `merge` return new objects. `merge` is
  associative and commutative, and parts merged give the very metrics of one
  pass, since everything summed is a whole number; but for pooled metrics of
  much data, which depend on whether the pixels around FPR95's thresholds were
  kept, and differ within `intervals`.

  Attributes:
    table: counts of the pixels that are not pending.
    pending: pixels that are still to be counted, and some that do not count.
    store: all pixels of the `kept` groups that are not pending.
    near: those near the thresholds of FPR95, likewise.
    kept: bool [g], groups of at most `exact_pixels` counted pixels, all of
      which came with `keep_pixels`.
    faults: int64 [2], as `PixelKeys.faults`.
    calibration: sums for the calibration error.
    exact_pixels: see there.

  Example:
    >>> score = np.array([0.9, 0.7, 0.4, 0.1], np.float32)
    >>> wrong = np.array([True, False, True, False])
    >>> valid, road = np.ones(4, bool), np.zeros(4, np.uint8)
    >>> empty = FailureHistogram.empty(num_classes=1)
    >>> first = empty.update(score[:2], wrong[:2], valid[:2], road[:2])
    >>> second = empty.update(score[2:], wrong[2:], valid[2:], road[2:])
    >>> found = first.merge(second).compute(names=['road'])
    >>> found['pooled']['auroc'], found['per_class']['road']['errors']
    (0.75, 2)
  """

  table: BinTable
  pending: PixelStore
  store: PixelStore
  near: NearThresholds
  kept: np.ndarray
  faults: np.ndarray
  calibration: Calibration
  exact_pixels: int

  @classmethod
  def empty(
    cls, num_classes: int, exact_pixels: int = EXACT_PIXELS
  ) -> 'FailureHistogram':
    """No pixel yet.

    Args:
      num_classes: number of groups.
      exact_pixels: groups of at most so many pixels get exact metrics; 0
        leaves everything to the histogram.
    """
    return cls(
      table=BinTable.empty(num_classes),
      pending=PixelStore(num_classes),
      store=PixelStore(num_classes),
      near=NearThresholds.empty(),
      kept=np.ones(num_classes, bool),
      faults=np.zeros(2, np.int64),
      calibration=Calibration.empty(num_classes),
      exact_pixels=exact_pixels,
    )

  def update(
    self,
    score: Float[Arrays, '*p'],
    wrong: Bool[Arrays, '*p'],
    valid: Bool[Arrays, '*p'],
    group: Integer[Arrays, '*p'],
    probability: Float[Arrays, '*p'] | None = None,
  ) -> 'FailureHistogram':
    """Returns the histogram with the pixels of a batch added.

    `failure_counts` and `add` in one, for use outside of compiled functions.

    Args:
      score: higher = more likely wrong; any finite float32 where valid.
      wrong: whether the segmentation of the pixel is wrong.
      valid: whether the pixel counts; elsewhere anything may stand.
      group: the true class, 0..num_classes - 1 where valid.
      probability: the stated chance of being wrong, if there is one.

    Raises:
      ValueError: if the arrays differ in shape.
    """
    *arrays, probability = pad_small(
      as_float32(score), wrong, valid, group, as_float32(probability)
    )
    return self.add(
      jitted_failure_counts(
        *arrays,
        num_groups=len(self.kept),
        probability=probability,
        keep_pixels=self.exact_pixels > 0,
      )
    )

  def add(self, counts: FailureCounts) -> 'FailureHistogram':
    """Returns the histogram with the counts of a batch added.

    Args:
      counts: from `failure_counts`, on device or host.

    Raises:
      ValueError: if they are of another number of groups.
    """
    counts = jax.device_get(counts)
    groups = (
      counts.pixels.num_groups
      if counts.bins is None
      else len(counts.bins.histogram)
    )
    if groups != len(self.kept):
      raise ValueError(
        f'counts of {groups} groups do not add to {len(self.kept)}'
      )
    more = dataclasses.replace(
      self,
      faults=self.faults + counts.faults,
      calibration=(
        self.calibration
        if counts.calibration is None
        else self.calibration.add(counts.calibration)
      ),
    )
    if counts.pixels is None:
      assert counts.bins is not None  # One of the two is there.
      return more._with_bins(counts.bins)
    pending = self.pending.append(counts.pixels.keys, counts.pixels.codes)
    more = dataclasses.replace(more, pending=pending)
    return more._counted() if len(pending) >= _PENDING else more

  def merge(self, other: 'FailureHistogram') -> 'FailureHistogram':
    """Returns the histogram of the pixels of both.

    Args:
      other: of the same number of groups and the same `exact_pixels`.

    Raises:
      ValueError: if it is not.
    """
    if len(self.kept) != len(other.kept):
      raise ValueError('histograms of different numbers of groups')
    if self.exact_pixels != other.exact_pixels:
      raise ValueError('histograms of different exact_pixels')
    table = self.table.add(other.table)
    kept = self.kept & other.kept & self._small(table)
    both = FailureHistogram(
      table=table,
      pending=self.pending.merge(other.pending),
      store=self.store.merge(other.store).only(kept),
      near=self.near.merge(other.near, table),
      kept=kept,
      faults=self.faults + other.faults,
      calibration=self.calibration.merge(other.calibration),
      exact_pixels=self.exact_pixels,
    )
    return both._counted() if len(both.pending) >= _PENDING else both

  def compute(self, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Computes every metric; see `summary.summarise` for the result.

    Args:
      names: of the groups; None names them '0', '1', ...

    Raises:
      ValueError: if a valid pixel had a score that is not finite, a group
        that does not exist or a probability outside [0, 1].
    """
    raise_for_faults(self.faults, self.calibration)
    return summarise(*self._rankings(), self.calibration, names)

  def intervals(
    self, names: Sequence[str] | None = None
  ) -> dict[str, dict[str, Any]]:
    """Bounds the metrics that the unbinned scores would give.

    Args:
      names: of the groups; None names them '0', '1', ...

    Returns:
      `pooled`: by metric a pair (lowest, highest), or None where not defined;
      `per_class`: the same by name of the group. Where the metrics are exact
      both ends are the value, to rounding.

    Raises:
      ValueError: as `compute`.
    """
    raise_for_faults(self.faults, self.calibration)
    pooled, groups = self._rankings()
    per_class: dict[str, dict[str, Interval | None]] = {
      name: metric_bounds(group)
      for name, group in zip(group_names(len(groups), names), groups)
    }
    return {'pooled': metric_bounds(pooled), 'per_class': per_class}

  def to_arrays(self) -> dict[str, np.ndarray]:
    """The whole state as named arrays, for saving."""
    whole = self._counted()
    keys, codes = whole.store.arrays()
    near_keys, near_wrong = whole.near.arrays()
    return {
      'histogram': whole.table.histogram,
      'lowest': whole.table.lowest,
      'highest': whole.table.highest,
      'faults': whole.faults,
      'keys': keys,
      'codes': codes,
      'kept': whole.kept,
      'near_keys': near_keys,
      'near_wrong': near_wrong,
      'near_windows': whole.near.windows,
      'exact_pixels': np.asarray(whole.exact_pixels, np.int64),
      **whole.calibration.to_arrays(),
    }

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'FailureHistogram':
    """Restores what `to_arrays` gave."""
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    store = PixelStore(len(arrays['kept']))
    return cls(
      table=BinTable(arrays['histogram'], arrays['lowest'], arrays['highest']),
      pending=store,
      store=store.add(arrays['keys'], arrays['codes']),
      near=NearThresholds(
        arrays['near_windows'],
        (arrays['near_keys'],),
        (arrays['near_wrong'],),
      ),
      kept=arrays['kept'],
      faults=arrays['faults'],
      calibration=Calibration.from_arrays(arrays),
      exact_pixels=int(arrays['exact_pixels']),
    )

  def _with_bins(self, bins: BinCounts) -> 'FailureHistogram':
    """With pixels added of which only the counts are known."""
    table = self.table.add(bins)
    kept = self.kept & self._small(table)
    kept &= ~bins.histogram.any(axis=(1, 2))
    return dataclasses.replace(
      self, table=table, kept=kept, store=self.store.only(kept)
    )

  def _counted(self, *, final: bool = False) -> 'FailureHistogram':
    """The same with nothing pending.

    Args:
      final: whether no more will come, so that fewer pixels are worth keeping.
    """
    if not len(self.pending):
      return self
    pieces = host_counts.in_pieces(self.pending)
    table = functools.reduce(
      BinTable.add, host_counts.count(pieces), self.table
    )
    kept = self.kept & self._small(table)
    store = self.store if (kept == self.kept).all() else self.store.only(kept)
    near = self.near.narrowed(table, final=final)
    picked = host_counts.pick(pieces, near.ranges(table), kept)
    return dataclasses.replace(
      self,
      table=table,
      pending=PixelStore(len(kept)),
      kept=kept,
      store=store.merge(picked.only(kept)) if kept.any() else store,
      near=near.add(*picked.arrays(), table),
    )

  def _small(self, table: BinTable) -> np.ndarray:
    """Groups whose pixels may be kept, bool [g]."""
    return table.group_sizes() <= self.exact_pixels

  def _rankings(self) -> tuple[Ranking, list[Ranking]]:
    """All pixels, and those of each group, as exactly as they are known."""
    pending = self.pending.num_counted()
    if self.kept.all() and len(self.store) + pending <= self.exact_pixels:
      pixels = self.store.merge(self.pending.only())
      return pixels.ranking(), pixels.rankings()
    whole = self._counted(final=True)
    groups = whole.store.rankings()
    for index in np.flatnonzero(~whole.kept):
      groups[index], _ = whole.table.ranking(whole.table.histogram[index])
    pooled = whole.near.refine(whole.table)
    return pooled, groups
