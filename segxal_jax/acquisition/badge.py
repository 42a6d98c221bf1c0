"""BADGE: diverse and uncertain at once (Ash et al., ICLR 2020).

An image's vector is the gradient that the last layer would get if the
prediction were right: long where the network is unsure, and of another
direction where other features or classes are in doubt. k-means++ then draws
vectors far from those drawn before. The vectors come from one streaming pass
(`gradient_embedding`); this file holds the draw.
"""

import dataclasses

import numpy as np

from segxal_jax.acquisition.base import (
  Candidates,
  Requirements,
  SelectedBatch,
  check_finite,
)
from segxal_jax.acquisition.distances import squared
from segxal_jax.acquisition.nearest import Nearest


@dataclasses.dataclass(frozen=True)
class Badge:
  """k-means++ on gradient embeddings."""

  name: str = 'badge'
  title: str = 'BADGE'
  needs: tuple[str, ...] = ()
  needs_embedding: bool = True
  requirements: Requirements = Requirements(embedding='gradient')

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """See `Acquisition`.

    The longest vector comes first, as in the authors' code; each next one is
    drawn with a probability that grows with the squared distance to the
    nearest one drawn. The utility is the length of the vector.
    """
    points = np.asarray(candidates.embedding, np.float32)
    check_finite('gradient', points, candidates.index)
    length = np.sqrt(squared(points, np.zeros(points.shape[1], np.float32)))
    count = min(count, len(points))
    nearest = Nearest(points, np.full(len(points), np.inf), count)
    picks: list[int] = []
    for _ in range(count):
      picks.append(nearest.draw(rng) if picks else int(np.argmax(length)))
      nearest.add(picks[-1])
    return SelectedBatch(candidates.index[np.array(picks, np.int64)], length)
