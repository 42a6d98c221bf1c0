"""What a learner is, and the usual one."""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import optax

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


@dataclasses.dataclass(frozen=True)
class LearnerOptions:
  """What a learner is made of.

  Attributes:
    strategy: name of the one that needs it.
    phase1_steps: updates of S alone.
    trains_failure: whether FSNet's F is trained after them.
    accumulate_steps: parts that a batch is worked through in.
    networks: makes S and F.
    optimizer: makes that of S and F.
    one_rate_optimizer: the same, with S's rate for F too.
    loss: of the joint phase.
    deal_stride: pixels of an image to a cell of DEAL's attention.
    deal_loss: form of the loss of DEAL's branch.
    teacher_decay: largest weight of the past in a mean teacher.
    teacher_confidence: probability from which its class counts.
  """

  strategy: str
  phase1_steps: int
  trains_failure: bool
  accumulate_steps: int
  networks: Callable[[], FSNet]
  optimizer: Callable[[], optax.GradientTransformationExtraArgs]
  one_rate_optimizer: Callable[[], optax.GradientTransformationExtraArgs]
  loss: LossOptions
  deal_stride: int
  deal_loss: str
  teacher_decay: float
  teacher_confidence: float


@runtime_checkable
class Learner(Protocol):
  """Makes what one cycle's training needs.

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

  def __init__(self, options: LearnerOptions):
    """Takes what it is made of."""
    self._options = options

  def check(self) -> None:
    """See `Learner`."""

  def model(self) -> FSNet:
    """See `Learner`."""
    return networks.for_training(
      self._options.networks(), self._options.trains_failure
    )

  def optimizer(self) -> optax.GradientTransformationExtraArgs:
    """See `Learner`."""
    return self._options.optimizer()

  def joint_start(self) -> int:
    """See `Learner`."""
    options = self._options
    return options.phase1_steps if options.trains_failure else NOT_YET

  def phase(self, step: int) -> int:
    """See `Learner`."""
    return 1 if step < self._options.phase1_steps else 2

  def loss_options(self) -> LossOptions:
    """Of the joint phase."""
    return self._options.loss

  def train_step(self, model: FSNet, phase: int) -> Step:
    """See `Learner`."""
    return make_train_step(
      model,
      self.optimizer(),
      phase=phase,
      options=self.loss_options(),
      accumulate_steps=self._options.accumulate_steps,
    )

  def scoring_params(self, state: TrainState) -> Any:
    """See `Learner`."""
    return state.params
