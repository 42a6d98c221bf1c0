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
  ) -> 'SegmentSums':
    """Returns the sums with one image added.

    Args:
      flagged: from `flag`, or any thresholded map.
      wrong: whether the segmentation of the pixel is wrong.
      valid: False on void pixels.
    """
    siou, ppv = segment_scores(flagged & valid, wrong & valid)
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


def segment_scores(
  flagged: Bool[np.ndarray, 'h w'], wrong: Bool[np.ndarray, 'h w']
) -> tuple[np.ndarray, np.ndarray]:
  """sIoU of each error segment and PPV of each flagged one.

  Args:
    flagged: the flagged pixels, none of them void.
    wrong: the wrong pixels, none of them void.

  Returns:
    Two float64 arrays, of the segments that are not too small.
  """
  area = wrong.size
  errors, sizes = _segments(wrong, _SMALLEST_ERROR * area)
  flags, flag_sizes = _segments(flagged, _SMALLEST_FLAGGED * area)
  # overlap[k, q] with background first; a segment's number is its row.
  width = len(flag_sizes) + 1
  overlap = np.bincount(
    (errors * width + flags).ravel(), minlength=(len(sizes) + 1) * width
  ).reshape(-1, width)
  inside = overlap[1:, 1:]
  hits = inside.sum(axis=1)
  # Wrong pixels of each flagged segment, those of small segments too.
  explained = np.bincount(flags[wrong], minlength=width)[1:]
  spill = np.where(inside > 0, flag_sizes - explained, 0).sum(axis=1)
  return hits / np.maximum(sizes + spill, 1), explained / np.maximum(
    flag_sizes, 1
  )


def _segments(
  mask: np.ndarray, smallest: float
) -> tuple[np.ndarray, np.ndarray]:
  """Numbered segments, 0 = none, and their sizes; small ones are dropped."""
  numbered, count = ndimage.label(mask, structure=_NEIGHBOURS)
  sizes = np.bincount(numbered.ravel(), minlength=count + 1)[1:]
  keep = sizes >= smallest
  table = np.zeros(count + 1, np.int64)
  table[1:][keep] = np.arange(1, keep.sum() + 1)
  return table[numbered], sizes[keep]


def _ratio(part: float | int, whole: int) -> float | None:
  return float(part / whole) if whole else None
