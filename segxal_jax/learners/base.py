"""What a learner is, and the usual one."""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import optax
from ml_collections import ConfigDict

from fsnet_jax.builders import optimization
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.steps.optimizers import NOT_YET
from fsnet_jax.steps.train_step import (
  Batch,
  LossOptions,
  Scalars,
  TrainState,
  make_train_step,
)
from segxal_jax.learners import networks

Step = Callable[[TrainState, Batch], tuple[TrainState, Scalars]]


@runtime_checkable
class Learner(Protocol):
  """Makes what one cycle's training needs, of a config.

  Attributes:
    name: key in `LEARNERS`.
    needs_unlabelled: whether half of its batches are images of D^U, with no
      label (void).
  """

  name: str
  needs_unlabelled: bool

  def check(self) -> None:
    """Raises UserError where it cannot work as configured."""
    ...

  def model(self) -> FSNet:
    """S, and what is trained with it in the place of F."""
    ...

  def optimizer(self) -> optax.GradientTransformationExtraArgs:
    """Of the parameters of `model`."""
    ...

  def joint_start(self) -> int:
    """The first step that trains both networks, or `NOT_YET`."""
    ...

  def phase(self, step: int) -> int:
    """1: step number `step` (from 0) trains S alone; 2: both networks."""
    ...

  def train_step(self, model: FSNet, phase: int) -> Step:
    """The update of a phase, to be compiled by the caller."""
    ...

  def scoring_params(self, state: TrainState) -> Any:
    """The parameters with which the pool is scored."""
    ...


class Plain:
  """S, and FSNet's F if it is trained."""

  name = 'plain'
  needs_unlabelled = False

  def __init__(self, config: ConfigDict):
    """Takes the config of the run."""
    self._config = config

  def check(self) -> None:
    """See `Learner`."""

  def model(self) -> FSNet:
    """See `Learner`."""
    return networks.model(self._config)

  def optimizer(self) -> optax.GradientTransformationExtraArgs:
    """See `Learner`."""
    return optimization.optimizer(self._config)

  def joint_start(self) -> int:
    """See `Learner`."""
    config = self._config
    return config.phase1_steps if config.phase2_steps else NOT_YET

  def phase(self, step: int) -> int:
    """See `Learner`."""
    return 1 if step < self._config.phase1_steps else 2

  def loss_options(self) -> LossOptions:
    """Of the joint phase."""
    return optimization.loss_options(self._config)

  def train_step(self, model: FSNet, phase: int) -> Step:
    """See `Learner`."""
    return make_train_step(
      model,
      self.optimizer(),
      phase=phase,
      options=self.loss_options(),
      accumulate_steps=self._config.accumulate_steps,
    )

  def scoring_params(self, state: TrainState) -> Any:
    """See `Learner`."""
    return state.params
