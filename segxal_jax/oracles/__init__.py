"""Oracles: one file each, one protocol, one table."""

from pathlib import Path

from ml_collections import ConfigDict

from common_lib.class_table import CITYSCAPES, ClassTable
from common_lib.errors import UserError
from segxal_jax.oracles.base import Oracle
from segxal_jax.oracles.full_image import FullImage
from segxal_jax.oracles.gt_patch import GroundTruthPatches
from segxal_jax.oracles.label_studio import LabelStudio
from segxal_jax.oracles.replay import Replay
from segxal_jax.oracles.self_pseudo import SelfPseudo
from segxal_jax.oracles.simulated_human import SimulatedHuman

ORACLES: dict[str, type[Oracle]] = {
  oracle.name: oracle
  for oracle in (
    SelfPseudo,
    GroundTruthPatches,
    SimulatedHuman,
    FullImage,
    LabelStudio,
    Replay,
  )
}

__all__ = ['ORACLES', 'Oracle', 'create']


def create(
  options: ConfigDict,
  seed: int,
  folder: Path | None = None,
  classes: ClassTable = CITYSCAPES,
) -> Oracle:
  """The oracle that `config.oracle` names.

  Args:
    options: `config.oracle`.
    seed: of the run.
    folder: of what it must remember; None only checks the options.
    classes: that are told apart.

  Raises:
    UserError: there is no such oracle, or it cannot work like this.
  """
  if options.kind not in ORACLES:
    raise UserError(
      f'config.oracle.kind is {options.kind!r}: choose one of '
      f'{", ".join(ORACLES)}.'
    )
  of_classes = {one.name: one for one in (LabelStudio, Replay)}
  if options.kind in of_classes:
    return of_classes[options.kind].create(options, seed, folder, classes)
  return ORACLES[options.kind].create(options, seed, folder)
