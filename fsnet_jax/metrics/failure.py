"""Failure metrics of data of any size from mergeable integer histograms.

The device turns a batch into int32 counts (`failure_counts`, for use inside a
compiled evaluation step); the host adds them up in int64
(`FailureHistogram`). Pixels fall into narrow ranges of score by group and by
right or wrong. Where all pixels of a range have one score, which the lowest
and highest score of each range tell, they are treated as the tie that they
are; elsewhere the metrics take their expected value over the unknown order
within the range, and `intervals` bounds the exact value.

The pixels of groups that are small so far are kept as they are beside the
histogram, since ranges are too coarse for few errors: metrics of such groups,
and of the whole data if all groups are small, are exact.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from fsnet_jax.metrics.batches import Arrays, as_float32, pad_small
from fsnet_jax.metrics.bounds import Interval, metric_bounds
from fsnet_jax.metrics.calibration import Calibration, calibration_counts
from fsnet_jax.metrics.pixels import PixelStore, pixel_keys, raise_for_faults
from fsnet_jax.metrics.ranking import Ranking
from fsnet_jax.metrics.scatter import sum_by_cell
from fsnet_jax.metrics.score_keys import NUM_BINS, key_bins
from fsnet_jax.metrics.summary import group_names, summarise

#: Largest number of pixels of a group that are kept for exact metrics, 6
#: bytes each.
EXACT_PIXELS = 1 << 20

_NO_LOWEST = np.uint32(0xFFFFFFFF)
_NO_HIGHEST = np.uint32(0)


@flax.struct.dataclass
class FailureCounts:
  """What `FailureHistogram.add` needs of one batch.

  Attributes:
    histogram: int32 [g 2 n], pixels by group, right (0) or wrong (1), and bin
      of the score.
    lowest: uint32 [n], the lowest score key in each bin.
    highest: uint32 [n], the highest score key in each bin.
    faults: int32 [2], as `PixelKeys.faults`.
    calibration: `CalibrationCounts`, or None without a probability.
    keys: uint32 [p], the score keys of the pixels, or None.
    codes: uint16 [p], as `PixelKeys.codes`, or None.
  """

  histogram: Any
  lowest: Any
  highest: Any
  faults: Any
  calibration: Any
  keys: Any
  codes: Any


def failure_counts(
  score: Float[Array, '*p'],
  wrong: Bool[Array, '*p'],
  valid: Bool[Array, '*p'],
  group: Integer[Array, '*p'],
  num_groups: int,
  probability: Float[Array, '*p'] | None = None,
  keep_pixels: bool = True,
) -> FailureCounts:
  """Counts the pixels of a batch; pure, runs under jit and on a mesh.

  With inputs split over a mesh of Auto axes the counts are those of the whole
  batch. A job of several processes must ask for replicated outputs
  (`out_shardings`), so that every process can read them.

  Args:
    score: higher = more likely wrong; any finite float32 where valid.
    wrong: whether the segmentation of the pixel is wrong.
    valid: whether the pixel counts; elsewhere anything may stand.
    group: 0..`num_groups` - 1 where valid, usually the true class.
    num_groups: number of groups.
    probability: the stated chance of being wrong, in [0, 1], if there is one.
    keep_pixels: whether to return the pixels too, so that small groups get
      exact metrics; without, the counts are all that leaves the device.

  Returns:
    The counts.

  Raises:
    ValueError: if the arrays differ in shape, or the batch has so many pixels
      that int32 could overflow.
  """
  if np.size(score) >= 1 << 31:
    raise ValueError(f'a batch of {np.size(score)} pixels overflows int32')
  pixels = pixel_keys(score, wrong, valid, group, num_groups)
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
  return FailureCounts(
    histogram=histogram.reshape(num_groups, 2, NUM_BINS),
    lowest=lowest.at[bins].min(pixels.keys, mode=mode)[:NUM_BINS],
    highest=highest.at[bins].max(pixels.keys, mode=mode)[:NUM_BINS],
    faults=pixels.faults,
    calibration=(
      None
      if probability is None
      else calibration_counts(probability, wrong, valid, group, num_groups)
    ),
    keys=pixels.keys if keep_pixels else None,
    codes=pixels.codes if keep_pixels else None,
  )


_jitted_counts = jax.jit(
  failure_counts, static_argnames=('num_groups', 'keep_pixels')
)


@dataclasses.dataclass(frozen=True)
class FailureHistogram:
  """Counts of any number of pixels, and the metrics they give.

  Immutable: `add`, `update` and `merge` return new objects. `merge` is
  associative and commutative, and parts merged give the very metrics of one
  pass, since everything summed is a whole number.

  Attributes:
    histogram: int64 [g 2 n], as in `FailureCounts`.
    lowest: uint32 [n], as in `FailureCounts`.
    highest: uint32 [n], as in `FailureCounts`.
    faults: int64 [2], as `PixelKeys.faults`.
    calibration: sums for the calibration error.
    store: all pixels of the `kept` groups.
    kept: bool [g], groups of at most `exact_pixels` pixels all of which came
      with `keep_pixels`.
    exact_pixels: see there.
  """

  histogram: np.ndarray
  lowest: np.ndarray
  highest: np.ndarray
  faults: np.ndarray
  calibration: Calibration
  store: PixelStore
  kept: np.ndarray
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
      histogram=np.zeros((num_classes, 2, NUM_BINS), np.int64),
      lowest=np.full(NUM_BINS, _NO_LOWEST),
      highest=np.full(NUM_BINS, _NO_HIGHEST),
      faults=np.zeros(2, np.int64),
      calibration=Calibration.empty(num_classes),
      store=PixelStore(num_classes),
      kept=np.ones(num_classes, bool),
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
      _jitted_counts(
        *arrays,
        num_groups=len(self.kept),
        probability=probability,
        keep_pixels=bool(self.kept.any() and self.exact_pixels),
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
    if counts.histogram.shape != self.histogram.shape:
      raise ValueError(
        f'counts of {len(counts.histogram)} groups do not add to '
        f'{len(self.histogram)}'
      )
    histogram = self.histogram + counts.histogram
    kept, store = self.kept & self._small(histogram), self.store
    if counts.keys is None:
      kept &= ~counts.histogram.any(axis=(1, 2))
    if (kept != self.kept).any():
      store = store.only(kept)
    if counts.keys is not None and kept.any():
      store = store.add(counts.keys, counts.codes, kept)
    calibration = self.calibration
    if counts.calibration is not None:
      calibration = calibration.add(counts.calibration)
    return dataclasses.replace(
      self,
      histogram=histogram,
      lowest=np.minimum(self.lowest, counts.lowest),
      highest=np.maximum(self.highest, counts.highest),
      faults=self.faults + counts.faults,
      calibration=calibration,
      store=store,
      kept=kept,
    )

  def merge(self, other: 'FailureHistogram') -> 'FailureHistogram':
    """Returns the histogram of the pixels of both.

    Args:
      other: of the same number of groups and the same `exact_pixels`.

    Raises:
      ValueError: if it is not.
    """
    if self.histogram.shape != other.histogram.shape:
      raise ValueError('histograms of different numbers of groups')
    if self.exact_pixels != other.exact_pixels:
      raise ValueError('histograms of different exact_pixels')
    histogram = self.histogram + other.histogram
    kept = self.kept & other.kept & self._small(histogram)
    store = self.store.merge(other.store)
    if (kept != (self.kept & other.kept)).any() or (
      self.kept != other.kept
    ).any():
      store = store.only(kept)
    return FailureHistogram(
      histogram=histogram,
      lowest=np.minimum(self.lowest, other.lowest),
      highest=np.maximum(self.highest, other.highest),
      faults=self.faults + other.faults,
      calibration=self.calibration.merge(other.calibration),
      store=store,
      kept=kept,
      exact_pixels=self.exact_pixels,
    )

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
    keys, codes = self.store.arrays()
    return {
      'histogram': self.histogram,
      'lowest': self.lowest,
      'highest': self.highest,
      'faults': self.faults,
      'keys': keys,
      'codes': codes,
      'kept': self.kept,
      'exact_pixels': np.asarray(self.exact_pixels, np.int64),
      **self.calibration.to_arrays(),
    }

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'FailureHistogram':
    """Restores what `to_arrays` gave."""
    same = ('histogram', 'lowest', 'highest', 'faults', 'kept')
    store = PixelStore(len(arrays['kept']))
    return cls(
      **{name: np.asarray(arrays[name]) for name in same},
      calibration=Calibration.from_arrays(arrays),
      store=store.add(arrays['keys'], arrays['codes']),
      exact_pixels=int(arrays['exact_pixels']),
    )

  def _small(self, histogram: np.ndarray) -> np.ndarray:
    """Groups whose pixels may be kept, bool [g]."""
    return histogram.sum(axis=(1, 2)) <= self.exact_pixels

  def _rankings(self) -> tuple[Ranking, list[Ranking]]:
    """All pixels, and those of each group, as exactly as they are known."""
    one_score = self.lowest == self.highest
    pooled, groups = self.store.rankings()
    for index in np.flatnonzero(~self.kept):
      groups[index] = _binned(self.histogram[index], one_score)
    if not self.kept.all():
      pooled = _binned(self.histogram.sum(axis=0), one_score)
    return pooled, groups


def _binned(histogram: np.ndarray, one_score: np.ndarray) -> Ranking:
  """Ranks pixels by bin, from int64 [2 n] and bool [n]."""
  filled = np.flatnonzero(histogram.any(axis=0))[::-1]
  correct, wrong = histogram[:, filled]
  return Ranking(correct, wrong, one_score[filled] | (correct + wrong == 1))
