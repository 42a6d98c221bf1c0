"""How long the cycles train, and which numbers their checkpoints have."""

from __future__ import annotations

from ml_collections import ConfigDict

from segxal_jax.config import own_learner, trainings
from segxal_jax.pool.ledger import Ledger


class Lengths:
  """Training steps of each cycle.

  They may grow with the labelled pool: at a fixed number of steps each cycle is
  trained for fewer epochs than the one before, so that strategies are compared
  at trainings that get worse. Only the pool decides, so that a resumed run
  counts as the first one did.
  """

  def __init__(self, config: ConfigDict, ledger: Ledger):
    """Takes what decides.

    Args:
      config: of the run.
      ledger: says how many images are labelled.
    """
    self._config, self._ledger = config, ledger
    self._is_command = own_learner.is_command(config)

  def phase1(self, cycle: int) -> int:
    """Updates of S alone in a cycle, from 1."""
    images = len(self._ledger.labelled(cycle))
    return trainings.phase1_steps(self._config, images)

  def of(self, cycle: int) -> int:
    """All updates of a cycle; a run of a user's command counts as one."""
    if self._is_command:
      return 1
    return self.phase1(cycle) + self._config.phase2_steps

  def before(self, cycle: int) -> int:
    """Updates of all earlier cycles: what its checkpoints are counted from."""
    total, one = 0, 1
    while one < cycle and self._is_known(one):
      total += self.of(one)
      one += 1
    # Later ones are as long as the first of which nothing is known.
    return total + (cycle - one) * self.of(one)

  def cycle_of(self, step: int) -> int:
    """The cycle that update number `step`, from 1, belongs to."""
    cycle = 1
    while step > self.of(cycle) and self._is_known(cycle):
      step -= self.of(cycle)
      cycle += 1
    return cycle + (step - 1) // self.of(cycle)

  def is_end(self, step: int) -> bool:
    """Whether a cycle's training ends with update number `step`."""
    return step == self.before(self.cycle_of(step) + 1)

  def _is_known(self, cycle: int) -> bool:
    """Whether it is known what joins the pool after a cycle."""
    return self._ledger.selection(cycle) is not None
