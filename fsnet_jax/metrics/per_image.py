"""Score histograms of single images, for resampling whole images.

A bootstrap over images needs every image's part of a metric. Ranking metrics
are no sums over images, but they follow from sums of histograms, so an image
is kept as one: counts of right and wrong pixels in about a thousand ranges of
score. The ranges are chosen from the first images so that each holds about as
much of the errors, or of the rest, as the others; memory grows with images and
ranges, never with pixels.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.metrics.ranking import (
  NUM_BINS,
  BinCounts,
  bin_counts,
  pixel_keys,
)

#: Ranges of score that an image is kept in, but for a few more of single
#: scores that many pixels share.
RANGES = 1024

# Images whose scores decide the ranges.
_SURVEY = 32

# What the tables of all detectors of a data set may take. Below the least
# number of ranges the metrics would not be told from their neighbours.
_TABLE_BYTES = 1 << 28
_LEAST_RANGES = 128


def ranges_for(images: int, detectors: int) -> int:
  """Ranges of score that bound the memory of a data set's tables.

  Args:
    images: that will be added.
    detectors: whose tables are kept at once.

  Returns:
    `RANGES`, or fewer where there are so many images that the tables would
    take more than 256 MiB together; at least 128.
  """
  each = 2 * 4 * max(images * detectors, 1)
  return int(np.clip(_TABLE_BYTES // each, _LEAST_RANGES, RANGES))


def image_counts(
  score: Float[Array, 'b h w'],
  wrong: Bool[Array, 'b h w'],
  valid: Bool[Array, 'b h w'],
) -> BinCounts:
  """Counts the pixels of each image of a batch; runs under jit.

  Args:
    score: higher = more likely wrong; a score that is not finite does not
      count (`failure.FailureHistogram` refuses it).
    wrong: whether the segmentation of the pixel is wrong.
    valid: whether the pixel counts.

  Returns:
    The counts, with images as groups.
  """
  images = score.shape[0]
  image = jnp.arange(images, dtype=jnp.int32)[:, None, None]
  image = jnp.broadcast_to(image, score.shape)
  return bin_counts(pixel_keys(score, wrong, valid, image, images))


class ImageHistograms:
  """Collects the images of a data set; one of them for each score."""

  def __init__(self, ranges: int = RANGES):
    """Begins with no image.

    Args:
      ranges: about how many ranges of score an image is kept in.
    """
    self._ranges = ranges
    self._starts: np.ndarray | None = None
    self._images: dict[int, np.ndarray] = {}
    self._lowest = np.full(NUM_BINS, 0xFFFFFFFF, np.uint32)
    self._highest = np.zeros(NUM_BINS, np.uint32)

  def add(self, counts: BinCounts, index: np.ndarray) -> None:
    """Takes a batch.

    Args:
      counts: from `image_counts`, on device or host.
      index: int [b], place of each image in its data set; below 0: padding.
    """
    counts = jax.device_get(counts)
    self._lowest = np.minimum(self._lowest, counts.lowest)
    self._highest = np.maximum(self._highest, counts.highest)
    for place, histogram in zip(np.asarray(index), counts.histogram):
      if place >= 0:
        self._images[int(place)] = self._reduced(histogram)
    if self._starts is None and len(self._images) >= _SURVEY:
      self._choose_ranges()

  def table(self) -> ImageTable:
    """All images so far, in the order of the data set.

    Raises:
      ValueError: if there is none.
    """
    if not self._images:
      raise ValueError('no image was added')
    starts = self._choose_ranges() if self._starts is None else self._starts
    lowest = np.minimum.reduceat(self._lowest, starts)
    highest = np.maximum.reduceat(self._highest, starts)
    images = [self._images[place] for place in sorted(self._images)]
    return ImageTable(np.stack(images), lowest == highest)

  def _reduced(self, histogram: np.ndarray) -> np.ndarray:
    """[2 n] counts in the ranges, once these are chosen."""
    if self._starts is None:
      return histogram
    return np.add.reduceat(histogram, self._starts, axis=-1)

  def _choose_ranges(self) -> np.ndarray:
    total = np.sum(list(self._images.values()), axis=0, dtype=np.int64)
    self._starts = starts = _range_starts(np.asarray(total), self._ranges)
    self._images = {
      place: self._reduced(histogram)
      for place, histogram in self._images.items()
    }
    return starts


def _range_starts(total: np.ndarray, ranges: int) -> np.ndarray:
  """First bin of each range, from [2 n] counts.

  Where few enough bins hold a pixel, each is a range. Else errors and right
  pixels weigh the same in all, or rare errors would share a few ranges, and a
  bin that weighs more than a range is one by itself.
  """
  filled = np.asarray(total.any(axis=0))
  if filled.sum() <= ranges:
    filled[0] = True
    return np.flatnonzero(filled)
  mass = np.mean(
    total / np.maximum(total.sum(axis=1, keepdims=True), 1), axis=0
  )
  place = np.floor((np.cumsum(mass) - mass) * ranges)
  heavy = mass * ranges > 1
  first = np.ones(len(mass), bool)
  first[1:] = (place[1:] != place[:-1]) | heavy[1:] | heavy[:-1]
  return np.flatnonzero(first)
