"""Oracles: one file each, one protocol, one table."""

from typing import Any

from input_pipeline.errors import UserError
from segxal_jax.oracles.base import Answer, Oracle, Question
from segxal_jax.oracles.full_image import FullImage
from segxal_jax.oracles.gt_patch import GroundTruthPatches
from segxal_jax.oracles.self_pseudo import SelfPseudo
from segxal_jax.oracles.simulated_human import SimulatedHuman

ORACLES: dict[str, type[Oracle]] = {
  oracle.name: oracle
  for oracle in (SelfPseudo, GroundTruthPatches, SimulatedHuman, FullImage)
}

__all__ = ['ORACLES', 'Answer', 'Oracle', 'Question', 'create']


def create(options: Any, seed: int) -> Oracle:
  """The oracle that `config.oracle` names.

  Raises:
    UserError: there is no such oracle.
  """
  if options.kind not in ORACLES:
    raise UserError(
      f'config.oracle.kind is {options.kind!r}: choose one of '
      f'{", ".join(ORACLES)}.'
    )
  return ORACLES[options.kind].create(options, seed)
