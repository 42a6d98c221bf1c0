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
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float

#: Limits over which F1 is averaged.
LIMITS = tuple(round(0.25 + 0.05 * step, 2) for step in range(11))

# Segments below these shares of the image are dropped: 100 and 500 pixels of
# the 1280x720 of the benchmark's anomaly track.
_SMALLEST_ERROR = 100 / (1280 * 720)
_SMALLEST_FLAGGED = 500 / (1280 * 720)

# Pixels to cut into segments at once: small maps many together, since the calls
# of numpy would take longer than their work; large ones few, for memory's sake.
_AT_ONCE = 2**20

# Shares such as 3/5 must not miss the limit 0.6 by rounding.
_REACHED = np.array(LIMITS) - 1e-9


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
  flags = np.zeros((1, *score.shape), bool)
  _flag_into(flags, score, valid, (budget,))
  return flags[0]


class Segments(NamedTuple):
  """Segments of one image.

  Attributes:
    numbers: int32 [h w], 1, 2, ... within segments and 0 elsewhere.
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
    errors = error_segments(wrong & valid) if errors is None else errors
    return self.merge(_sums((flagged & valid)[None], wrong, valid, errors)[0])

  def merge(self, other: 'SegmentSums') -> 'SegmentSums':
    """Returns the sums over the images of both."""
    # Spelt out, which is twice as fast: this happens very often.
    return SegmentSums(
      self.found + other.found,
      self.false_alarms + other.false_alarms,
      self.error_segments + other.error_segments,
      self.flagged_segments + other.flagged_segments,
      self.siou + other.siou,
      self.ppv + other.ppv,
      self.flagged_pixels + other.flagged_pixels,
      self.pixels + other.pixels,
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


def sums_at_budgets(
  scores: Sequence[Float[np.ndarray, 'h w']],
  wrong: Bool[np.ndarray, 'h w'],
  valid: Bool[np.ndarray, 'h w'],
  budgets: Sequence[float],
) -> list[list[SegmentSums]]:
  """Many score maps of one image, each flagged at several budgets.

  Much faster than one by one: the image's errors are found once, and small
  maps are cut into segments together.

  Args:
    scores: higher = more likely wrong; finite where valid.
    wrong: whether the segmentation of the pixel is wrong.
    valid: False on void pixels.
    budgets: shares of the valid pixels to flag, in (0, 1], in any order.

  Returns:
    By map and budget, the sums over this one image: what `SegmentSums.add`
    makes of the flags of `flag`.
  """
  height, width = wrong.shape
  errors = error_segments(wrong & valid)
  size = len(budgets)
  together = max(1, _AT_ONCE // (size * wrong.size))
  sums = []
  for first in range(0, len(scores), together):
    some = scores[first : first + together]
    sheet = np.zeros((len(some), size, height + 1, width), bool)
    for flags, score in zip(sheet, some):
      _flag_into(flags[:, :height], score, valid, budgets)
    own = _sums(sheet.reshape(-1, height + 1, width), wrong, valid, errors)
    sums += [own[i : i + size] for i in range(0, len(own), size)]
  return sums


def error_segments(wrong: Bool[np.ndarray, 'h w']) -> Segments:
  """The segments that are to be found.

  Args:
    wrong: the wrong pixels, none of them void.
  """
  places = np.flatnonzero(wrong)
  own, sizes = _segments(wrong, places, _SMALLEST_ERROR * wrong.size)
  numbers = np.zeros(wrong.shape, np.int32)
  numbers.ravel()[places] = own
  return Segments(numbers, sizes)


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
  siou, ppv, *_ = _scores(flagged[None], wrong, errors)
  return siou[0], ppv


def _flag_into(
  flags: np.ndarray,
  score: np.ndarray,
  valid: np.ndarray,
  budgets: Sequence[float],
) -> None:
  """Writes what `flag` says for budgets [b] to `flags`, bool [b h w], False."""
  rest = score[valid]
  total = len(rest)
  if not total:
    return
  # From the largest budget down, so that each looks only at what the one
  # before it kept: faster than one partition for all of them.
  for place in sorted(range(len(budgets)), key=lambda i: -budgets[i]):
    wanted = max(1, round(budgets[place] * total))
    first = len(rest) - wanted
    rest = np.partition(rest, first)[first:]
    last = rest[0]
    np.logical_and(score >= last, valid, out=flags[place])
    above = np.count_nonzero(rest > last)
    with_ties = np.count_nonzero(flags[place])
    if above and wanted - above < with_ties - wanted:
      np.logical_and(score > last, valid, out=flags[place])


def _sums(
  sheet: np.ndarray, wrong: np.ndarray, valid: np.ndarray, errors: Segments
) -> list[SegmentSums]:
  """The sums of one image for each map of a sheet, see `_scores`."""
  maps = len(sheet)
  siou, ppv, owner, flagged = _scores(sheet, wrong & valid, errors)
  alarms = [
    np.bincount(owner[ppv < limit], minlength=maps) for limit in _REACHED
  ]
  columns = {
    'found': (siou[:, None] >= _REACHED[:, None]).sum(axis=2),
    'false_alarms': np.stack(alarms, axis=1),
    'flagged_segments': np.bincount(owner, minlength=maps).tolist(),
    'siou': siou.sum(axis=1).tolist(),
    # Without segments, bincount forgets that its weights are floats.
    'ppv': np.bincount(owner, ppv, minlength=maps).astype(float).tolist(),
    'flagged_pixels': flagged.tolist(),
  }
  same = {
    'error_segments': siou.shape[1],
    'pixels': int(np.count_nonzero(valid)),
  }
  return [
    SegmentSums(**dict(zip(columns, one)), **same)
    for one in zip(*columns.values())
  ]


def _scores(
  sheet: np.ndarray, wrong: np.ndarray, errors: Segments
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """`segment_scores` of several maps of one image.

  Args:
    sheet: bool [b h+1 w], the flagged pixels of each map, none of them void,
      and a blank row under it, so that no segment reaches into the next map;
      a map that is alone needs none.
    wrong: bool [h w], none of them void.
    errors: `error_segments(wrong)`.

  Returns:
    sIoU, float64 [b k]; PPV of the flagged segments of all maps, float64 [q];
    whose map each is of, int64 [q]; and flagged pixels, int64 [b].
  """
  maps, rows, width = sheet.shape
  # From here on only flagged pixels are looked at: they are few.
  places = np.flatnonzero(sheet)
  q, flag_sizes = _segments(
    sheet.reshape(maps * rows, width), places, _SMALLEST_FLAGGED * wrong.size
  )
  starts = np.arange(maps + 1) * rows * width
  flagged = np.diff(np.searchsorted(places, starts))
  of_map = np.repeat(np.arange(maps), flagged)
  owner = np.zeros(len(flag_sizes) + 1, np.int64)
  owner[q] = of_map
  inside = places - starts[of_map]
  # Wrong pixels of each flagged segment, those of small segments too.
  caught = np.flatnonzero(wrong.ravel()[inside])
  q = q[caught]
  explained = np.bincount(q, minlength=len(owner))[1:]
  spilt = flag_sizes - explained
  k = errors.numbers.ravel()[inside[caught]]
  both = np.flatnonzero((k > 0) & (q > 0))
  # An error segment counts once in each map.
  step = len(errors.sizes) + 1
  k, q = k[both] + step * of_map[caught[both]], q[both]
  hits = np.bincount(k, minlength=maps * step)
  # Each pair that touches, once: a table of all pairs would not fit in memory
  # for large images with many small segments.
  k, q = np.divmod(np.unique(k * len(owner) + q), len(owner))
  spill = np.bincount(k, spilt[q - 1], minlength=maps * step)
  hits, spill = (one.reshape(maps, step)[:, 1:] for one in (hits, spill))
  siou = hits / (errors.sizes + spill)
  return siou, explained / flag_sizes, owner[1:], flagged


def _segments(
  mask: np.ndarray, places: np.ndarray, smallest: float
) -> tuple[np.ndarray, np.ndarray]:
  """The segments of a mask; small ones are dropped.

  Args:
    mask: bool [h w].
    places: its pixels, `np.flatnonzero(mask)`.
    smallest: the least number of pixels in a segment.

  Returns:
    For each of `places` its segment, 1, 2, ... or 0 if dropped; and the
    segments' sizes in pixels. int64.
  """
  if not len(places):
    return np.zeros(0, np.int64), np.zeros(0, np.int64)
  # Wu's algorithm numbers segments by their first pixel, as scipy's label
  # does, which takes five times as long; OpenCV's others do not.
  count, numbers = cv2.connectedComponentsWithAlgorithm(
    mask.view(np.uint8), 8, cv2.CV_32S, cv2.CCL_WU
  )
  numbers = numbers.ravel()[places]
  # OpenCV's segment 0 is what is outside of all: no pixel of ours, so that it
  # is dropped as too small.
  sizes = np.bincount(numbers, minlength=count)
  keep = sizes >= smallest
  return (np.cumsum(keep) * keep)[numbers], sizes[keep]


def _ratio(part: float | int, whole: int) -> float | None:
  return float(part / whole) if whole else None
