"""Diverse among the uncertain: k-center on a shortlist."""

import dataclasses

import numpy as np

from segxal_jax.acquisition.base import (
  Candidates,
  Requirements,
  SelectedBatch,
  check_finite,
)
from segxal_jax.acquisition.coreset import CoreSet


@dataclasses.dataclass(frozen=True)
class Shortlist:
  """k-center greedy among the candidates with the highest score.

  The highest scores alone are often of neighbouring frames of a video, of
  which one teaches as much as all; the farthest points alone are often merely
  odd. As in Cluster-Margin (Citovsky et al., NeurIPS 2021) and PPAL (Yang et
  al., CVPR 2024): first by score, then by distance.

  Attributes:
    name: key in `ACQUISITIONS`.
    title: how tables call it.
    score: name of the score.
    factor: so many times the images of a query are on the list.
  """

  name: str
  title: str
  score: str
  factor: int = 4
  needs_embedding: bool = True
  requirements: Requirements = Requirements()

  @property
  def needs(self) -> tuple[str, ...]:
    """The one score."""
    return (self.score,)

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """See `Acquisition`; the utility is the score."""
    score = np.asarray(candidates.scores[self.score], np.float64)
    check_finite(self.score, score, candidates.index)
    assert candidates.embedding is not None  # `needs_embedding` asks for it.
    order = np.argsort(-score, kind='stable')[: self.factor * max(count, 1)]
    listed = np.sort(order)
    diverse = CoreSet('', '', 'l2').select(
      Candidates(
        index=candidates.index[listed],
        embedding=candidates.embedding[listed],
        centres=candidates.centres,
      ),
      count,
      rng,
    )
    return SelectedBatch(diverse.index, score)
