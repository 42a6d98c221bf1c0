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
  Chosen,
  Means,
  check_finite,
)
from segxal_jax.acquisition.distances import squared


@dataclasses.dataclass(frozen=True)
class Badge:
  """k-means++ on gradient embeddings."""

  name: str = 'badge'
  title: str = 'BADGE'
  needs: tuple[str, ...] = ()
  needs_embedding: bool = True
  means: Means = Means(embedding='gradient')

  def choose(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> Chosen:
    """See `Acquisition`.

    The longest vector comes first, as in the authors' code; each next one is
    drawn with a probability that grows with the squared distance to the
    nearest one drawn. The utility is the length of the vector.
    """
    points = np.asarray(candidates.embedding, np.float32)
    check_finite('gradient', points, candidates.index)
    length = np.sqrt(squared(points, np.zeros(points.shape[1], np.float32)))
    nearest = np.full(len(points), np.inf)
    free = np.ones(len(points), bool)
    picks: list[int] = []
    while len(picks) < min(count, len(points)):
      pick = _next(length if not picks else None, nearest, free, rng)
      picks.append(pick)
      free[pick] = False
      nearest = np.minimum(nearest, squared(points, points[pick]))
    return Chosen(candidates.index[np.array(picks, np.int64)], length)


def _next(
  length: np.ndarray | None,
  nearest: np.ndarray,
  free: np.ndarray,
  rng: np.random.Generator,
) -> int:
  """The first, the next by D^2, or any where all the rest are duplicates."""
  if length is not None:
    return int(np.argmax(length))
  weight = np.where(free, nearest, 0.0)
  total = weight.sum()
  if not total > 0:
    return int(rng.choice(np.flatnonzero(free)))
  return int(rng.choice(len(weight), p=weight / total))
