"""How long the cycles train, and which numbers their checkpoints have."""

from __future__ import annotations

from segxal_jax.pool.ledger import Ledger


class Lengths:
  """Training steps of each cycle.

  They may grow with the labelled pool: at a fixed number of steps each cycle is
  trained for fewer epochs than the one before, so that strategies are compared
  at trainings that get worse. Only the pool decides, so that a resumed run
  counts as the first one did.
  """

  def __init__(
    self, ledger: Ledger, phase1_steps: int, per_image: int, phase2_steps: int
  ):
    """Takes what decides.

    Args:
      ledger: says how many images are labelled.
      phase1_steps: updates of S alone, whatever is labelled.
      per_image: what each labelled image adds to them.
      phase2_steps: of S and F, after them.
    """
    self._ledger, self._phase1 = ledger, phase1_steps
    self._per_image, self._phase2 = per_image, phase2_steps

  def phase1(self, cycle: int) -> int:
    """Updates of S alone in a cycle, from 1."""
    images = len(self._ledger.labelled(cycle))
    return self._phase1 + self._per_image * images

  def of(self, cycle: int) -> int:
    """All updates of a cycle."""
    return self.phase1(cycle) + self._phase2

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
