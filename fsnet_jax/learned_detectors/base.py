"""What a detector that learns is, and what it learns from."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, Protocol, runtime_checkable

import flax.struct
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from common_lib.class_table import VOID
from fsnet_jax.builders.fits import FitOptions, Own
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from input_pipeline.sources import Source
from input_pipeline.training_mix import training_mix
from input_pipeline.transforms import Transform

Variables = Mapping[str, Any]
Batch = Mapping[str, Array]


@flax.struct.dataclass
class FitState:
  """All that the training of a detector changes.

  Attributes:
    step: int32, number of updates done.
    params: parameters, float32.
    stats: the other collections of variables, by name.
    opt_state: of the optimiser.
    key: data of a PRNG key; each step folds its number in.
  """

  step: Any
  params: Any
  stats: Any
  opt_state: Any
  key: Any


def _as_they_are(batches: Any, flip: bool, stored: bool) -> Any:
  """Of an S that is part of the compiled program."""
  del flip, stored
  return batches


@dataclasses.dataclass(frozen=True)
class Setting(Generic[Own]):
  """What a detector is fitted to.

  Attributes:
    options: of the detector.
    network: the frozen S.
    variables: its variables, NumPy arrays.
    training_source: opens the run's training images.
    train_another: `(folder, seed=...)`: trains another S as the frozen one
      was, and returns the number of images that this took.
    also: further arrays of a scene that batches must have.
    with_outputs: `(batches, flip, stored)`: the batches with the outputs of an
      S from elsewhere; as they are for one of this package. `stored` says
      whether images are those of the data set.
    failure_data: folder with the predictions of networks that have not seen
      the image (`folds`), or None: S's own are used.
  """

  options: FitOptions[Own]
  network: SegmentationNetwork
  variables: Variables
  training_source: Callable[[], Source]
  train_another: Callable[..., int]
  also: tuple[str, ...] = ()
  with_outputs: Callable[[Any, bool, bool], Any] = _as_they_are
  failure_data: Path | None = None


@dataclasses.dataclass(frozen=True)
class Loaded:
  """A fitted detector, ready to look at a batch.

  Attributes:
    variables: pytree of NumPy arrays.
    outputs: `(variables, variables of S, forward) -> [b h w]`; a pure
      function, to be traced into the evaluation step.
    uses_flip: whether they need `ForwardPass.flip_logits`.
    dropout_samples: passes that they need `ForwardPass.dropout_uncertainty`
      of; 0 for none.
  """

  variables: Any
  outputs: Callable[[Any, Variables, ForwardPass], Array]
  uses_flip: bool = False
  dropout_samples: int = 0


@runtime_checkable
class FittedDetector(Protocol):
  """A detector that is trained after S, over the frozen S.

  Attributes:
    name: key of `FITTED`, of `config.eval.fitted` and of `config.fit`.
    needs_predictions: whether it learns from S's errors, so that it needs
      the failure data set where `config.fit.predictions` is 'folds'.

  One that takes the options of another also has `section`, their key in
  `config.fit`; a part of the failure network that phase 3 trains has a true
  `phase3`.
  """

  name: str
  needs_predictions: bool

  def check(self, options: FitOptions[Any]) -> None:
    """Raises UserError for a mistake in the config."""
    ...

  def train(self, setting: Setting[Any], folder: Path) -> Cost:
    """Trains, or goes on training, in `folder`; seconds are not its matter.

    Raises:
      Interrupted: after Ctrl-C or SIGTERM, once everything is saved.
    """
    ...

  def load(self, options: FitOptions[Any], folder: Path) -> Loaded:
    """Reads what `train` left.

    Args:
      options: that it was fitted with.
      folder: of the fit.
    """
    ...


class OnShiftedImages:
  """A detector that learns from the images that phase 3 learns from.

  The gain of F is then not that of its images. S's own predictions of them
  are what it learns, for there are no others of a changed image.
  """

  needs_predictions = False
  # The mix is a field of phase 3.
  phase3 = True


def images_of(options: FitOptions[Any]) -> tuple[Transform, ...]:
  """How the training images are changed: by the mix that the options name."""
  if not options.own.mix:
    return ()
  return (training_mix(options.own.mix, options.augment),)


def section_of(detector: FittedDetector) -> str:
  """The key of `config.fit` that holds a detector's options."""
  return getattr(detector, 'section', detector.name)


def valid_pixels(batch: Batch) -> Bool[Array, 'b h w']:
  """True where the label is not void."""
  return batch['label'] != VOID


def logits_of(
  network: SegmentationNetwork, variables: Variables, batch: Batch
) -> Float[Array, 'b h w c']:
  """The logits whose errors a detector learns.

  Args:
    network: the frozen S.
    variables: of S.
    batch: with `logits` of a network that has not seen the image, or
      without: then S says them.
  """
  if 'logits' in batch:
    return batch['logits'].astype(jnp.float32)
  output = outputs.output_of_batch(network, variables, batch)
  return jax.lax.stop_gradient(output.logits)
