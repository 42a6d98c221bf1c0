"""How S is trained: one file a way, one protocol, one table.

A learner composes with any segmentation network. The training loop does not
depend on it: it provides the networks, the optimiser, the step and whether
unlabelled images are used, each made from the usual one.
"""

from collections.abc import Callable

from segxal_jax.learners.base import Learner, LearnerOptions, Plain
from segxal_jax.learners.command import Command
from segxal_jax.learners.deal import Deal
from segxal_jax.learners.mean_teacher import MeanTeacher

LEARNERS: dict[str, Callable[[LearnerOptions], Learner]] = {
  learner.name: learner for learner in (Plain, Deal, MeanTeacher)
}

__all__ = ['LEARNERS', 'Command', 'Learner', 'LearnerOptions', 'create']


def create(name: str, options: LearnerOptions) -> Learner:
  """A learner.

  Args:
    name: key of `LEARNERS`.
    options: what it is made of.

  Raises:
    UserError: the learner cannot work as configured.
  """
  learner = LEARNERS[name](options)
  learner.check()
  return learner
