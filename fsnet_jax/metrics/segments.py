"""Failure maps judged by segment, as SegmentMeIfYouCan judges anomalies.

Chan et al., "SegmentMeIfYouCan: A Benchmark for Anomaly Segmentation", NeurIPS
Datasets and Benchmarks 2021, section 4.2. A segment is an 8-connected
component: of the wrong pixels (k, to be found), or of the flagged ones (q).
With Q(k) the union of the flagged segments that touch k,

  sIoU(k) = |k ∩ Q(k)| / |(k ∪ Q(k)) minus the other wrong pixels|,
  PPV(q)  = |q ∩ wrong pixels| / |q|,

so that one flagged segment over two neighbouring errors is not held against
either. At a limit t an error segment with sIoU >= t is found (TP), else missed
(FN); a flagged segment with PPV < t is a false alarm (FP); F1 = 2 TP / (2 TP +
FN + FP), averaged over t = 0.25, 0.3, .. 0.75.

A map becomes flags by a review budget: the given share of each image's
labelled pixels, the most suspicious ones. Void is in no segment.
"""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy import ndimage

#: Limits over which F1 is averaged.
LIMITS = tuple(round(0.25 + 0.05 * step, 2) for step in range(11))

# Segments below these shares of the image are dropped: 100 and 500 pixels of
# the 1280x720 of the benchmark's anomaly track.
_SMALLEST_ERROR = 100 / (1280 * 720)
_SMALLEST_FLAGGED = 500 / (1280 * 720)

_NEIGHBOURS = np.ones((3, 3), bool)


def flag(
  score: Float[np.ndarray, 'h w'],
  valid: Bool[np.ndarray, 'h w'],
  budget: float,
) -> Bool[np.ndarray, 'h w']:
  """The most suspicious pixels of one image.

  Args:
    score: higher = more likely wrong; finite where valid.
    valid: False on void pixels, which are never flagged.
    budget: share of the valid pixels to flag, in (0, 1].

  Returns:
    The flags: at least one pixel if any is valid; pixels that share the last
    score are flagged all or none, whichever is closer to the budget, but
    never none at all.
  """
  flags = np.zeros(score.shape, bool)
  total = int(valid.sum())
  if not total:
    return flags
  scores = score[valid]
  wanted = max(1, round(budget * total))
  last = np.partition(scores, total - wanted)[total - wanted]
  above, with_ties = int((scores > last).sum()), int((scores >= last).sum())
  if above and wanted - above < with_ties - wanted:
    flags[valid] = scores > last
  else:
    flags[valid] = scores >= last
  return flags


class Segments(NamedTuple):
  """Segments of one image.

  Attributes:
    numbers: int64 [h w], 1, 2, ... within segments and 0 elsewhere.
    sizes: int64 [n], pixels of each.
  """

  numbers: np.ndarray
  sizes: np.ndarray


@dataclasses.dataclass(frozen=True)
class SegmentSums:
  """Sums over any number of images; immutable, `add` and `merge` return new.

  Attributes:
    found: int64 [t], error segments found at each of `LIMITS`.
    false_alarms: int64 [t], false alarms at each limit.
    error_segments: how many error segments there are.
    flagged_segments: how many flagged segments there are.
    siou: sum of the error segments' sIoU.
    ppv: sum of the flagged segments' PPV.
    flagged_pixels: flagged pixels.
    pixels: labelled pixels.
  """

  found: np.ndarray
  false_alarms: np.ndarray
  error_segments: int = 0
  flagged_segments: int = 0
  siou: float = 0.0
  ppv: float = 0.0
  flagged_pixels: int = 0
  pixels: int = 0

  @classmethod
  def empty(cls) -> 'SegmentSums':
    """Sums over no image."""
    zeros = np.zeros(len(LIMITS), np.int64)
    return cls(zeros, zeros)

  def add(
    self,
    flagged: Bool[np.ndarray, 'h w'],
    wrong: Bool[np.ndarray, 'h w'],
    valid: Bool[np.ndarray, 'h w'],
    errors: Segments | None = None,
  ) -> 'SegmentSums':
    """Returns the sums with one image added.

    Args:
      flagged: from `flag`, or any thresholded map.
      wrong: whether the segmentation of the pixel is wrong.
      valid: False on void pixels.
      errors: `error_segments(wrong & valid)`, for those who score many maps
        of one image.
    """
    siou, ppv = segment_scores(flagged & valid, wrong & valid, errors)
    # Shares such as 3/5 must not miss the limit 0.6 by rounding.
    limits = np.array(LIMITS)[:, None] - 1e-9
    return self.merge(
      SegmentSums(
        found=(siou >= limits).sum(axis=1),
        false_alarms=(ppv < limits).sum(axis=1),
        error_segments=len(siou),
        flagged_segments=len(ppv),
        siou=float(siou.sum()),
        ppv=float(ppv.sum()),
        flagged_pixels=int((flagged & valid).sum()),
        pixels=int(valid.sum()),
      )
    )

  def merge(self, other: 'SegmentSums') -> 'SegmentSums':
    """Returns the sums over the images of both."""
    return SegmentSums(
      *(
        getattr(self, field.name) + getattr(other, field.name)
        for field in dataclasses.fields(self)
      )
    )

  def to_array(self) -> np.ndarray:
    """All sums in one float64 array, to add up over processes."""
    return np.concatenate(
      [np.atleast_1d(value) for value in dataclasses.astuple(self)]
    ).astype(np.float64)

  @classmethod
  def from_array(cls, array: np.ndarray) -> 'SegmentSums':
    """Restores what `to_array` gave."""
    size = len(LIMITS)
    found, false_alarms, rest = np.split(array, [size, 2 * size])
    errors, flagged, siou, ppv, flagged_pixels, pixels = rest
    return cls(
      found.astype(np.int64),
      false_alarms.astype(np.int64),
      int(errors),
      int(flagged),
      float(siou),
      float(ppv),
      int(flagged_pixels),
      int(pixels),
    )

  def compute(self) -> dict[str, float | int | None]:
    """The metrics.

    Returns:
      `siou` and `ppv`, means over error and flagged segments; `f1`, the mean
      over `LIMITS`; `flagged`, the share of labelled pixels flagged;
      `error_segments` and `flagged_segments`, counts. None without segments
      to average over.
    """
    missed = self.error_segments - self.found
    doubled = 2 * self.found
    whole = doubled + missed + self.false_alarms
    defined = self.error_segments + self.flagged_segments > 0
    f1 = np.mean(doubled / np.maximum(whole, 1)) if defined else None
    return {
      'siou': _ratio(self.siou, self.error_segments),
      'ppv': _ratio(self.ppv, self.flagged_segments),
      'f1': None if f1 is None else float(f1),
      'flagged': _ratio(self.flagged_pixels, self.pixels),
      'error_segments': self.error_segments,
      'flagged_segments': self.flagged_segments,
    }


def error_segments(wrong: Bool[np.ndarray, 'h w']) -> Segments:
  """The segments that are to be found.

  Args:
    wrong: the wrong pixels, none of them void.
  """
  return _segments(wrong, _SMALLEST_ERROR * wrong.size)


def segment_scores(
  flagged: Bool[np.ndarray, 'h w'],
  wrong: Bool[np.ndarray, 'h w'],
  errors: Segments | None = None,
) -> tuple[np.ndarray, np.ndarray]:
  """sIoU of each error segment and PPV of each flagged one.

  Args:
    flagged: the flagged pixels, none of them void.
    wrong: the wrong pixels, none of them void.
    errors: `error_segments(wrong)` if they are known already.

  Returns:
    Two float64 arrays, of the segments that are not too small.
  """
  errors = error_segments(wrong) if errors is None else errors
  flags = _segments(flagged, _SMALLEST_FLAGGED * flagged.size)
  # Wrong pixels of each flagged segment, those of small segments too.
  caught = flagged & wrong
  q, k = flags.numbers[caught], errors.numbers[caught]
  explained = np.bincount(q, minlength=len(flags.sizes) + 1)[1:]
  spilt = flags.sizes - explained
  k, q = k[(k > 0) & (q > 0)], q[(k > 0) & (q > 0)]
  hits = np.bincount(k, minlength=len(errors.sizes) + 1)[1:]
  # Each pair that touches, once: a table of all pairs would not fit in memory
  # for large images with many small segments.
  touching = np.unique(k * (len(flags.sizes) + 1) + q)
  k, q = np.divmod(touching, len(flags.sizes) + 1)
  spill = np.bincount(k, spilt[q - 1], minlength=len(errors.sizes) + 1)[1:]
  return hits / np.maximum(errors.sizes + spill, 1), explained / np.maximum(
    flags.sizes, 1
  )


def _segments(mask: np.ndarray, smallest: float) -> Segments:
  """The segments of a mask; small ones are dropped."""
  numbers, count = ndimage.label(mask, structure=_NEIGHBOURS)
  sizes = np.bincount(numbers.ravel(), minlength=count + 1)[1:]
  keep = sizes >= smallest
  table = np.zeros(count + 1, np.int64)
  table[1:][keep] = np.arange(1, keep.sum() + 1)
  return Segments(table[numbers], sizes[keep])


def _ratio(part: float | int, whole: int) -> float | None:
  return float(part / whole) if whole else None
