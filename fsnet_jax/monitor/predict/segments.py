"""Connected components of flagged pixels: what people fix are objects."""

from __future__ import annotations

import dataclasses
import math

import cv2
import numpy as np


@dataclasses.dataclass(frozen=True)
class Segment:
  """A component of flagged pixels, which touch at sides or corners.

  Attributes:
    label: class index that is predicted most often in it.
    box: left, top, width and height, in pixels.
    area: number of its pixels.
    failure_mean: mean P(wrong) in it.
    depth_m: median depth of its pixels that have one, metres; None where
      none has.
  """

  label: int
  box: tuple[int, int, int, int]
  area: int
  failure_mean: float
  depth_m: float | None = None


def find(
  labels: np.ndarray,
  failure: np.ndarray,
  flagged: np.ndarray,
  share: float,
  depth: np.ndarray | None = None,
) -> tuple[Segment | None, list[Segment]]:
  """The largest component, and all that are not too small.

  Args:
    labels: uint8 [h w].
    failure: float32 [h w].
    flagged: bool [h w].
    share: of the image's pixels, that a component has at least.
    depth: float32 [h w], metres, NaN = no measurement; None without any.

  Returns:
    The one of the most pixels, whatever their number, or None where nothing
    is flagged; and those of at least the share, the largest first.
  """
  count, regions, numbers, _ = cv2.connectedComponentsWithStats(
    flagged.astype(np.uint8), connectivity=8
  )
  if count <= 1:  # The first is what is not flagged.
    return None, []
  areas = numbers[1:, cv2.CC_STAT_AREA]
  fewest = max(1, math.ceil(share * flagged.size))
  order = np.argsort(-areas, kind='stable')
  large = [int(i) for i in order if areas[i] >= fewest]
  wanted = large or [int(order[0])]
  found = [
    _segment(number + 1, numbers[number + 1], regions, labels, failure, depth)
    for number in wanted
  ]
  return found[0], found if large else []


def _segment(
  number: int,
  row: np.ndarray,
  regions: np.ndarray,
  labels: np.ndarray,
  failure: np.ndarray,
  depth: np.ndarray | None,
) -> Segment:
  left, top = int(row[cv2.CC_STAT_LEFT]), int(row[cv2.CC_STAT_TOP])
  width, height = int(row[cv2.CC_STAT_WIDTH]), int(row[cv2.CC_STAT_HEIGHT])
  part = np.s_[top : top + height, left : left + width]
  inside = regions[part] == number
  return Segment(
    label=int(np.bincount(labels[part][inside]).argmax()),
    box=(left, top, width, height),
    area=int(row[cv2.CC_STAT_AREA]),
    failure_mean=float(failure[part][inside].mean(dtype=np.float64)),
    depth_m=None if depth is None else _median(depth[part][inside]),
  )


def _median(depth: np.ndarray) -> float | None:
  """Of what is measured, to a millimetre; None where nothing is."""
  measured = depth[np.isfinite(depth)]
  return round(float(np.median(measured)), 3) if measured.size else None
