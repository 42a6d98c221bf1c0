"""Regions of an image ranked by the error mask, and their prompt points."""

import dataclasses
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8


class Region(NamedTuple):
  """A selected region.

  Attributes:
    id: its number in the segment map.
    score: mean of the mask over it.
    row: of the prompt point, where the mask is highest in the region.
    column: of the prompt point.
  """

  id: int
  score: float
  row: int
  column: int


@dataclasses.dataclass(frozen=True)
class RegionOptions:
  """How an image is cut, and how many regions are selected.

  Attributes:
    kind: 'superpixels' (SLIC) or 'patches' (squares).
    num_segments: about how many superpixels an image is cut into.
    compactness: of SLIC: higher = squarer.
    patch: side of a square, pixels.
    count: at most so many regions are selected.
  """

  kind: str = 'superpixels'
  num_segments: int = 100
  compactness: float = 10.0
  patch: int = 8
  count: int = 10


def segment(
  image: UInt8[np.ndarray, 'h w 3'], options: RegionOptions
) -> Int32[np.ndarray, 'h w']:
  """Cuts an image into numbered segments, from 0 without gaps."""
  if options.kind == 'patches':
    return patches(image.shape[:2], options.patch)
  if options.kind != 'superpixels':
    raise ValueError(f'unknown kind of region {options.kind!r}')
  # Slow to import, and needed only where an image is queried.
  from skimage.segmentation import slic

  segments = slic(
    image,
    n_segments=options.num_segments,
    compactness=options.compactness,
    start_label=0,
    channel_axis=-1,
  )
  return segments.astype(np.int32)


def patches(size: tuple[int, int], side: int) -> Int32[np.ndarray, 'h w']:
  """Numbers squares row by row; those at the right and bottom may be cut."""
  columns = -(-size[1] // side)
  rows = np.arange(size[0]) // side
  return (rows[:, None] * columns + np.arange(size[1]) // side).astype(np.int32)


def means(
  mask: Float[np.ndarray, 'h w'],
  segments: Int32[np.ndarray, 'h w'],
  usable: Bool[np.ndarray, 'h w'],
) -> Float[np.ndarray, ' segments']:
  """Mean of the mask over each segment's usable pixels; -inf without any."""
  flat, ids = mask[usable].astype(np.float64), segments[usable]
  length = int(segments.max()) + 1
  total = np.bincount(ids, flat, minlength=length)
  count = np.bincount(ids, minlength=length)
  return np.where(count > 0, total / np.maximum(count, 1), -np.inf)


def rank(
  mask: Float[np.ndarray, 'h w'],
  segments: Int32[np.ndarray, 'h w'],
  usable: Bool[np.ndarray, 'h w'],
  count: int,
) -> list[Region]:
  """The segments with the highest mean, best first.

  Args:
    mask: the error mask.
    segments: of `segment`.
    usable: pixels that may be selected.
    count: at most so many.

  Returns:
    Regions with their prompt points; equal means in the order of their
    numbers, equal pixels in reading order.
  """
  scores = means(mask, segments, usable)
  order = np.argsort(-scores, kind='stable')[:count]
  return [
    Region(int(i), float(scores[i]), *prompt_point(mask, segments == i, usable))
    for i in order
    if np.isfinite(scores[i])
  ]


def prompt_point(
  mask: Float[np.ndarray, 'h w'],
  region: Bool[np.ndarray, 'h w'],
  usable: Bool[np.ndarray, 'h w'],
) -> tuple[int, int]:
  """(row, column) of the highest mask within a region's usable pixels."""
  inside = np.where(region & usable, mask, -np.inf)
  row, column = np.unravel_index(int(np.argmax(inside)), mask.shape)
  return int(row), int(column)


def doubtful(
  mask: Float[np.ndarray, 'h w'],
  segments: Int32[np.ndarray, 'h w'],
  usable: Bool[np.ndarray, 'h w'],
) -> list[int]:
  """Numbers of the segments above the image's mean + standard deviation.

  The rule of the authors' code for its machine oracle, of segment means.
  """
  scores = means(mask, segments, usable)
  known = scores[np.isfinite(scores)]
  if known.size == 0:
    return []
  return [int(i) for i in np.flatnonzero(scores > known.mean() + known.std())]
