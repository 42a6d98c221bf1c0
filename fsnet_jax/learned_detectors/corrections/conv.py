"""The convolutional correction: FSNet's F, trained anew over the frozen S."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.builders.fits import ConvOptions, FitOptions
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.learned_detectors.base import (
  Batch,
  Loaded,
  Setting,
  valid_pixels,
)
from fsnet_jax.learned_detectors.corrections import update
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models.failure.failure_features import miss_logit
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.layers.initializers import (
  host_init,
  host_shapes,
)
from fsnet_jax.models.network import output_of
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork
from fsnet_jax.steps.losses import failure_loss, failure_target


class ConvCorrection:
  """`FailureNet` as a correction to MSP's log-odds (`config.fit.conv`)."""

  name = 'conv'
  needs_predictions = False
  phase3 = True

  def check(self, options: FitOptions[ConvOptions]) -> None:
    """Nothing beyond numbers, which the table of fields checks."""

  def train(self, setting: Setting[ConvOptions], folder: Path) -> Cost:
    """Trains the network; see `FittedDetector`."""
    options = setting.options
    initial = initial_variables(options, options.own.network)
    loss = loss_of(setting.network, options.own.network)
    return update.train(
      setting, 'convolutional failure network', initial, loss, folder
    )

  def load(self, options: FitOptions[ConvOptions], folder: Path) -> Loaded:
    """Reads the network; its outputs are corrections to MSP's log-odds."""
    from fsnet_jax.learned_detectors import fit_loop

    network = options.own.network

    def outputs(variables: Any, s: Any, forward: ForwardPass) -> Array:
      del s
      found = failure_logits(network, variables, forward)
      return found - miss_logit(forward.segmentation.logits)

    return Loaded(fit_loop.load(folder, like_of(options, network)), outputs)


def initial_variables(
  options: FitOptions[Any], network: FailureNet
) -> tuple[Any, Any]:
  """Parameters and statistics before the first step, NumPy arrays.

  Encoders begin with `init.failure_encoder`, as those of the joint F do.

  Args:
    options: of the fit.
    network: which sees what the joint F sees.
  """
  from fsnet_jax.weights import initial

  fresh = host_init(network, options.seed, *_inputs(options))
  params, stats, _ = initial.load(
    options.init.failure_encoder_alone(network.width),
    {'failure': fresh['params']},
    {'failure': fresh['batch_stats']},
  )
  return params['failure'], {'batch_stats': stats['failure']}


def like_of(options: FitOptions[Any], network: FailureNet) -> dict[str, Any]:
  """The form of what a fit keeps: nothing is drawn, no weights are read.

  Args:
    options: of the fit.
    network: which sees what the joint F sees.
  """
  _, variables = host_shapes(network, *_inputs(options))
  return {
    'params': variables['params'],
    'stats': {'batch_stats': variables['batch_stats']},
  }


def _inputs(options: FitOptions[Any]) -> tuple[Any, Any, Any]:
  """Shapes of an image, and of the logits and features that S makes of it."""
  images = jax.ShapeDtypeStruct((1, *options.image_size, 3), jnp.float32)
  output, _ = host_shapes(options.segmentation(), images)
  return images, output.logits, output.features


def failure_logits(
  network: FailureNet, variables: Any, forward: ForwardPass
) -> Float[Array, 'b h w']:
  """What a trained network says of a pass of S.

  Args:
    network: of `initial_variables`.
    variables: `params` and `stats`, as a fit keeps them.
    forward: the pass.
  """
  own = {'params': variables['params'], **variables['stats']}
  said = forward.segmentation
  return output_of(network, own, forward.images, said.logits, said.features)


def loss_of(
  s: SegmentationNetwork,
  network: FailureNet,
  change: Callable[..., Batch] | None = None,
) -> update.Loss:
  """Cross-entropy of S's errors, as the network sees them.

  Args:
    s: the frozen S.
    network: that learns.
    change: `(variables of S, batch, key) -> batch`, before S looks at it.
  """

  def loss_fn(params, stats, variables, batch, key):
    if change is not None:
      batch = change(variables, batch, key)
    output = update.frozen_output(s, variables, batch)
    logits, updated = network.apply(
      {'params': params, **stats},
      batch['image'].astype(jnp.float32),
      output.logits,
      output.features,
      train=True,
      mutable=['batch_stats'],
    )
    wrong = failure_target(output.logits, batch['label'])
    loss = failure_loss(logits, wrong, valid_pixels(batch), 'bce')
    return loss, (updated, {'loss': loss})

  return loss_fn
