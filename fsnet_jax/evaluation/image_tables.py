"""The images of an evaluation pass as histograms, for resampling them."""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.metrics.per_image import (
  ImageHistograms,
  image_counts,
  ranges_for,
)
from fsnet_jax.runtime import mesh as mesh_lib

_OF_IMAGES = ('label', 'index', 'sequence')


def _counts(maps, images):
  """The images of a batch as histograms, for every score."""
  wrong = maps['prediction'] != images['label']
  histograms = {
    name: image_counts(score, wrong, maps['valid'])
    for name, score in maps['score'].items()
  }
  return histograms, images['index'], images['sequence']


@functools.cache
def _step(mesh: Mesh) -> Any:
  """`_counts`, compiled once for all data sets."""
  return jax.jit(_counts, out_shardings=mesh_lib.replicated(mesh))


class ImageTables:
  """Collects the images of one data set, for every detector at once.

  On several processes each gets all images, so all find the same.
  """

  def __init__(self, num_images: int, num_detectors: int, mesh: Mesh):
    """Begins with no image.

    Args:
      num_images: that will come; memory is bounded by fewer ranges of score
        where there are many.
      num_detectors: likewise.
      mesh: that the batches are split over.
    """
    self._mesh = mesh
    self._step = _step(mesh)
    self._ranges = ranges_for(num_images, num_detectors)
    self._histograms: dict[str, ImageHistograms] = {}
    self._sequence: dict[int, tuple[int, ...]] = {}

  def add(
    self, batch: Mapping[str, np.ndarray], maps: Mapping[str, Any]
  ) -> None:
    """Takes a batch of this process and the maps of the whole batch.

    Args:
      batch: of `input_pipeline.loader.eval_loader`.
      maps: of the evaluation step, on device.
    """
    own = {name: batch[name] for name in _OF_IMAGES}
    found = self._step(maps, mesh_lib.put_batch(own, self._mesh))
    counts, index, sequence = jax.device_get(found)
    for name, one in counts.items():
      histograms = self._histograms.setdefault(
        name, ImageHistograms(self._ranges)
      )
      histograms.add(one, index)
    for place, digest in zip(index.tolist(), sequence.tolist()):
      if place >= 0:
        self._sequence[place] = tuple(digest)

  def tables(self) -> dict[str, ImageTable]:
    """By detector, every image so far, in the order of the data set."""
    return {name: one.table() for name, one in self._histograms.items()}

  def sequences(self) -> np.ndarray:
    """The number of each image's sequence, int [n], in the same order."""
    numbers: dict[tuple[int, ...], int] = {}
    return np.array(
      [
        numbers.setdefault(self._sequence[place], len(numbers))
        for place in sorted(self._sequence)
      ],
      np.int64,
    )
