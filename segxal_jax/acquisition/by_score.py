"""The highest of one score each: entropy, EEM, a committee's votes."""

import dataclasses

import numpy as np

from segxal_jax.acquisition.base import (
  Candidates,
  Requirements,
  SelectedBatch,
  check_finite,
)


@dataclasses.dataclass(frozen=True)
class ByScore:
  """The candidates with the highest score.

  Attributes:
    name: key in `ACQUISITIONS`, and name of the score unless `score` is.
    title: how tables call it.
    requirements: see `Acquisition`.
    score: name of the score if it is not `name`.
  """

  name: str
  title: str
  requirements: Requirements = Requirements()
  score: str = ''
  needs_embedding: bool = False

  @property
  def needs(self) -> tuple[str, ...]:
    """The one score."""
    return (self.score or self.name,)

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """See `Acquisition`; equal scores in the order of the pool."""
    del rng
    score = np.asarray(candidates.scores[self.needs[0]], np.float64)
    check_finite(self.needs[0], score, candidates.index)
    order = np.argsort(-score, kind='stable')[:count]
    return SelectedBatch(candidates.index[order], score)
