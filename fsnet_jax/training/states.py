"""The state of S and F before their first step, and its shapes."""

import jax
import optax
from jax.sharding import Mesh

from fsnet_jax.builders.training import TrainingOptions
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.steps.optimizers import NOT_YET
from fsnet_jax.steps.train_step import (
  TrainState,
  abstract_state,
  create_state,
)


def _first_phase2_start(options: TrainingOptions) -> int:
  """Step of the switch if it is known from the start."""
  if options.until_plateau and options.phase1_steps > 0:
    return NOT_YET
  return options.phase1_steps


def new(
  options: TrainingOptions,
  model: FSNet,
  optimizer: optax.GradientTransformationExtraArgs,
  mesh: Mesh,
) -> TrainState:
  """The state before the first step, on every device."""
  state = create_state(
    model,
    optimizer,
    seed=options.seed,
    image_size=options.image_size,
    phase2_start=_first_phase2_start(options),
  )
  return mesh_lib.put_replicated(state, mesh)


def abstract(
  options: TrainingOptions,
  model: FSNet,
  optimizer: optax.GradientTransformationExtraArgs,
  mesh: Mesh,
) -> TrainState:
  """Shapes, dtypes and shardings of `new`, to read a checkpoint into."""
  sharding = mesh_lib.replicated(mesh)
  return jax.tree.map(
    lambda leaf: leaf.update(sharding=sharding),
    abstract_state(model, optimizer, options.image_size),
  )
