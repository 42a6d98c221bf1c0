"""How S is trained: one file a way, one protocol, one table.

A learner composes with any segmentation network. The training loop does not
depend on it: it provides the networks, the optimiser, the step and whether
unlabelled images are used, each made from the usual one.
"""

from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict

from segxal_jax.learners.base import Learner, Plain
from segxal_jax.learners.deal import Deal
from segxal_jax.learners.mean_teacher import MeanTeacher

LEARNERS: dict[str, Callable[[Any], Learner]] = {
  learner.name: learner for learner in (Plain, Deal, MeanTeacher)
}

__all__ = ['LEARNERS', 'Learner', 'create']


def create(config: ConfigDict) -> Learner:
  """The learner that the config's strategy needs.

  Raises:
    UserError: the learner cannot work as configured.
  """
  from segxal_jax import acquisition

  strategy = acquisition.create(config.acquisition.strategy)
  learner = LEARNERS[strategy.requirements.learner](config)
  learner.check()
  return learner
