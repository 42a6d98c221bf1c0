"""A network of a user's own, which a command trains outside of this program.

What stands for it in a loop's state has no weights, only the mark of the file
that the command wrote (`ExternalSegmentation`): checkpoints, resuming and the
ledger are those of any learner.
"""

from typing import Any

import optax

from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.models.segmentation.external import ExternalSegmentation
from fsnet_jax.steps.optimizers import NOT_YET
from fsnet_jax.steps.train_step import TrainState
from segxal_jax.learners import networks
from segxal_jax.learners.base import Step

# Of the state before the first training: of no file.
_NO_FILE = '00' * 32


class Command:
  """Trains nothing here; one step is one run of the command."""

  name = 'command'
  needs_unlabelled = False

  def __init__(self, num_classes: int):
    """Takes the number of classes that the network tells apart."""
    self._num_classes = num_classes

  def check(self) -> None:
    """See `Learner`."""

  def model(self) -> FSNet:
    """See `Learner`."""
    stand_in = ExternalSegmentation(
      num_classes=self._num_classes, fingerprint=_NO_FILE, feature_size=(1, 1)
    )
    return networks.SegmentationOnly(segmentation=stand_in, failure=stand_in)

  def optimizer(self) -> optax.GradientTransformationExtraArgs:
    """See `Learner`."""
    return optax.with_extra_args_support(optax.identity())

  def joint_start(self) -> int:
    """See `Learner`."""
    return NOT_YET

  def phase(self, step: int) -> int:
    """See `Learner`."""
    del step
    return 1

  def train_step(self, model: FSNet, phase: int) -> Step:
    """Never asked for: `loop.training_command` takes its place."""
    raise NotImplementedError

  def scoring_params(self, state: TrainState) -> Any:
    """See `Learner`."""
    return state.params
