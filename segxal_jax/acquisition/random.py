"""The control: every candidate is as good as any other."""

import numpy as np

from segxal_jax.acquisition.base import Candidates, Chosen


class Random:
  """Uniform without replacement."""

  name = 'random'
  title = 'Random'
  needs: tuple[str, ...] = ()
  needs_embedding = False

  def choose(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> Chosen:
    """See `Acquisition`; the utility is the lot that was drawn."""
    lots = rng.random(len(candidates.index))
    order = np.argsort(-lots, kind='stable')[:count]
    return Chosen(candidates.index[order], lots)
