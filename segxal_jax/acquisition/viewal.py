"""ViewAL: images whose surfaces other views contradict (CVPR 2020).

Of each scene the view that differs most from the others comes first, so that
a batch does not pay for one street several times; scenes are ranked by the
entropy of the mean prediction of their views. The original queries
superpixels; here the loop's own regions are queried within the images.
"""

import dataclasses

import numpy as np

from segxal_jax.acquisition.base import (
  Candidates,
  Requirements,
  SelectedBatch,
  check_finite,
)


@dataclasses.dataclass(frozen=True)
class ViewAl:
  """View entropy over scenes, view divergence within."""

  name: str = 'viewal'
  title: str = 'ViewAL'
  needs: tuple[str, ...] = ('view_entropy', 'view_divergence')
  needs_embedding: bool = False
  requirements: Requirements = Requirements(auxiliary_model='views')

  def select(
    self, candidates: Candidates, count: int, rng: np.random.Generator
  ) -> SelectedBatch:
    """See `Acquisition`; without groups each image is a scene of its own."""
    del rng
    entropy, divergence = (
      np.asarray(candidates.scores[name], np.float64) for name in self.needs
    )
    for name, values in zip(self.needs, (entropy, divergence), strict=True):
      check_finite(name, values, candidates.index)
    group = candidates.group
    if group is None:
      group = np.arange(len(entropy))
    # By scene, the most divergent view first; its rank among its scene's.
    order = np.lexsort((-divergence, group))
    turn = np.empty(len(order), np.int64)
    for rank, row in enumerate(order):
      same = rank > 0 and group[order[rank - 1]] == group[row]
      turn[row] = turn[order[rank - 1]] + 1 if same else 0
    ranked = np.lexsort((-entropy, turn))[:count]
    return SelectedBatch(candidates.index[ranked], entropy)
