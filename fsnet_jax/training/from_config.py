"""From a config to a training of it, or to the form of its state."""

import functools
from pathlib import Path

from jax.sharding import Mesh
from ml_collections import ConfigDict

from fsnet_jax.builders import networks, optimization
from fsnet_jax.builders.data_sources import RunData
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.builders.training import training_options
from fsnet_jax.config import run_paths
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.steps.train_step import TrainState
from fsnet_jax.training import phase1_reuse, states
from fsnet_jax.training.trainer import Parts, Trainer


def trainer(config: ConfigDict, workdir: Path) -> Trainer:
  """The training of a run, from where its folder has it.

  Use: `trainer(config, workdir).run()`.

  Args:
    config: of the run.
    workdir: of the run, which the caller has claimed.

  Raises:
    UserError: for a mistake in the config or in what it names.
  """
  config = run_paths.located(config, workdir)
  continue_from = None
  if config.init.phase1:
    continue_from = functools.partial(phase1_reuse.continue_from, config)
  parts = Parts(
    model=networks.model(config),
    optimizer=optimization.optimizer(config),
    loss=optimization.loss_options(config),
    learning_rates=functools.partial(optimization.learning_rates, config),
    data=RunData(config),
    init=init_options(config),
    continue_from=continue_from,
  )
  return Trainer(training_options(config), parts, workdir)


def abstract_state(config: ConfigDict, model: FSNet, mesh: Mesh) -> TrainState:
  """Shapes, dtypes and shardings of the state, to read a checkpoint into."""
  return states.abstract(
    training_options(config), model, optimization.optimizer(config), mesh
  )
