"""The control: every candidate is as good as any other."""

import dataclasses

import numpy as np

from segxal_jax.acquisition.base import Candidates, Requirements, SelectedBatch


@dataclasses.dataclass(frozen=True)
class Random:
  """Uniform without replacement.

  Attributes:
    name: key in `ACQUISITIONS`.
    title: how tables call it.
    requirements: see `Acquisition`: PixelPick queries images drawn so.
  """

  name: str = 'random'
  title: str = 'Random'
  requirements: Requirements = Requirements()
  needs: tuple[str, ...] = ()
  needs_embedding: bool = False

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """See `Acquisition`; the utility is the lot that was drawn."""
    lots = rng.random(len(candidates.index))
    order = np.argsort(-lots, kind='stable')[:count]
    return SelectedBatch(candidates.index[order], lots)
