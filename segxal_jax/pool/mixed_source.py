"""Labelled and unlabelled images in equal parts, for learners that use both."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from common_lib.class_table import VOID
from input_pipeline.datasets.base import Source


class HalfUnlabelled:
  """Alternates the two as a `Source`; the shorter one is repeated.

  It pickles as its sources, so that loader processes read the images
  themselves. Unlabelled images have void labels: their ground truth does not
  leave this class.
  """

  def __init__(self, labelled: Source, pool: Source, places: Sequence[int]):
    """Takes the labelled images, the pool, and the places of D^U in it."""
    self._labelled = labelled
    self._pool = pool
    self._places = tuple(int(place) for place in places)

  def __len__(self) -> int:
    if not self._places:
      return len(self._labelled)
    return 2 * max(len(self._labelled), len(self._places))

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not self._places:
      return self._labelled[index]
    place, unlabelled = divmod(index, 2)
    if not unlabelled:
      return self._labelled[place % len(self._labelled)]
    scene = dict(self._pool[self._places[place % len(self._places)]])
    scene['label'] = np.full_like(scene['label'], VOID)
    return scene
