"""From a config to the options of a training of S and F."""

import dataclasses

from ml_collections import ConfigDict


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
  """How long S and F are trained, and when their training is saved.

  Attributes:
    seed: of the first weights and of dropout.
    image_size: (height, width) in pixels.
    batch_size: images of an update, of all processes together.
    accumulate_steps: parts that a batch is worked through in.
    phase1_steps: updates of S alone; the most of them if a plateau decides.
    phase2_steps: updates of S and F after that.
    until_plateau: whether phase 1 ends where S has converged.
    patience: validations without improvement that count as convergence.
    min_delta: what counts as an improvement, in nats.
    log_every_steps: updates between two lines.
    checkpoint_every_steps: updates between two checkpoints.
  """

  seed: int
  image_size: tuple[int, int]
  batch_size: int
  accumulate_steps: int
  phase1_steps: int
  phase2_steps: int
  until_plateau: bool
  patience: int
  min_delta: float
  log_every_steps: int
  checkpoint_every_steps: int


def training_options(config: ConfigDict) -> TrainingOptions:
  """As the config has them."""
  return TrainingOptions(
    seed=config.seed,
    image_size=tuple(config.image_size),
    batch_size=config.batch_size,
    accumulate_steps=config.accumulate_steps,
    phase1_steps=config.phase1_steps,
    phase2_steps=config.phase2_steps,
    until_plateau=config.switch == 'plateau',
    patience=config.plateau.patience,
    min_delta=config.plateau.min_delta,
    log_every_steps=config.log_every_steps,
    checkpoint_every_steps=config.checkpoint_every_steps,
  )
