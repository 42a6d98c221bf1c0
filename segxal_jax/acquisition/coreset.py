"""Core-set: k-center greedy (Sener and Savarese, ICLR 2018).

Each pick is the candidate farthest from all centres, the labelled images and
the picks before it. Distances to the nearest centre are never computed anew,
so the work grows at most linearly with candidates and picks (`nearest.py`
leaves out what cannot matter). (Their second step, an integer programme that
drops outliers, is left out, as in every comparison that followed.)
"""

import dataclasses
from typing import TypeGuard

import numpy as np

from segxal_jax.acquisition.base import (
  Candidates,
  Requirements,
  SelectedBatch,
  check_finite,
)
from segxal_jax.acquisition.distances import squared, to_nearest
from segxal_jax.acquisition.nearest import Nearest


@dataclasses.dataclass(frozen=True)
class CoreSet:
  """Greedy k-center.

  Attributes:
    name: key in `ACQUISITIONS`.
    title: how tables call it.
    metric: 'l2' (the paper's) or 'cosine' (DEAL's code).
  """

  name: str
  title: str
  metric: str
  needs: tuple[str, ...] = ()
  needs_embedding: bool = True
  requirements: Requirements = Requirements()

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """See `Acquisition`.

    The utility is the distance to the nearest labelled image; without any,
    the first pick is the candidate farthest from the mean of all.
    """
    del rng
    assert candidates.embedding is not None  # `needs_embedding` asks for it.
    points = self._prepared(candidates.embedding)
    check_finite('embedding', points, candidates.index)
    if _has(candidates.centres):
      known = to_nearest(points, self._prepared(candidates.centres))
      utility = known
    else:
      known = np.full(len(points), np.inf)
      utility = squared(points, points.mean(axis=0, dtype=np.float64))
    count = min(count, len(points))
    nearest = Nearest(points, known, count)
    picks = []
    for _ in range(count):
      first = not picks and not _has(candidates.centres)
      picks.append(int(np.argmax(utility)) if first else nearest.farthest())
      nearest.add(picks[-1])
    return SelectedBatch(
      candidates.index[np.array(picks, np.int64)], np.sqrt(utility)
    )

  def _prepared(self, points: np.ndarray) -> np.ndarray:
    """Points whose Euclidean distance orders as the metric does.

    Of unit vectors, |a - b|^2 = 2 (1 - cos).
    """
    points = np.asarray(points, np.float32)
    if self.metric == 'l2':
      return points
    if self.metric != 'cosine':
      raise ValueError(f'unknown metric {self.metric!r}')
    length = np.linalg.norm(points, axis=1, keepdims=True)
    return points / np.maximum(length, np.finfo(np.float32).tiny)


def _has(centres: np.ndarray | None) -> TypeGuard[np.ndarray]:
  return centres is not None and len(centres) > 0
