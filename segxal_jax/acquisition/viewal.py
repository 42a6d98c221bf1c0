"""ViewAL: images whose surfaces other views contradict (CVPR 2020).

Of each scene the view that differs most from the others speaks first, so that
a batch does not pay for one street several times; scenes are ranked by the
entropy of what their views say together. The original asks about superpixels;
here the loop's own regions are asked about within the images.
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
    # By scene, the most divergent view first; its place among its scene's.
    order = np.lexsort((-divergence, group))
    turn = np.empty(len(order), np.int64)
    for place, row in enumerate(order):
      same = place > 0 and group[order[place - 1]] == group[row]
      turn[row] = turn[order[place - 1]] + 1 if same else 0
    ranked = np.lexsort((-entropy, turn))[:count]
    return SelectedBatch(candidates.index[ranked], entropy)
