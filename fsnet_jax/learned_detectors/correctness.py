"""What Direct prediction and SynthCP share: learning where S is right."""

import dataclasses
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from fsnet_jax.builders.fits import FitOptions
from fsnet_jax.learned_detectors import losses
from fsnet_jax.learned_detectors.base import (
  Batch,
  FitState,
  logits_of,
  valid_pixels,
)
from fsnet_jax.models.baselines.synthcp_comparison import ComparisonNet
from fsnet_jax.models.layers.initializers import (
  host_init,
  host_shapes,
)
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork

# `(constants, batch images, logits) -> the pictures the network sees`.
Pictures = Callable[[Any, Array, Array], tuple[Array, ...]]


def network_of(options: FitOptions[Any]) -> nn.Module:
  """The network at the fit's width and precision."""
  return ComparisonNet(
    num_classes=options.num_classes,
    width=options.width,
    remat=options.remat,
    dtype=jnp.dtype(options.compute_dtype),
  )


def initial_variables(
  options: FitOptions[Any], num_pictures: int
) -> tuple[Any, Any]:
  """Parameters and batch statistics before the first step.

  Args:
    options: of the fit; `init.failure_encoder` names converted weights for the
      encoders. Their first three channels are the image's, the fourth begins
      anew, as SynthCP has it.
    num_pictures: encoders.
  """
  from fsnet_jax.weights import initial

  inputs = _inputs(options, num_pictures)
  fresh = host_init(network_of(options), options.seed, *inputs)
  params, stats, _ = initial.load(
    options.init.failure_encoder_alone(options.width),
    {'failure': fresh['params']},
    {'failure': fresh['batch_stats']},
  )
  return params['failure'], stats['failure']


def like_of(options: FitOptions[Any], num_pictures: int) -> dict[str, Any]:
  """The form of what a fit keeps: nothing is drawn, no weights are read.

  Args:
    options: of the fit.
    num_pictures: encoders.
  """
  _, variables = host_shapes(
    network_of(options), *_inputs(options, num_pictures)
  )
  return {
    'params': variables['params'],
    'stats': {'batch_stats': variables['batch_stats']},
  }


def _inputs(options: FitOptions[Any], num_pictures: int) -> tuple[Any, Any]:
  """Shapes of the pictures and of the logits that the network sees."""
  size = options.image_size
  picture = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
  logits = jax.ShapeDtypeStruct((1, *size, options.num_classes), jnp.float32)
  return (picture,) * num_pictures, logits


def make_step(
  options: FitOptions[Any],
  s: SegmentationNetwork,
  pictures: Pictures,
  optimizer: optax.GradientTransformation,
) -> Callable[[FitState, Any, Batch], tuple[FitState, dict[str, Array]]]:
  """The update of the network, to be compiled by the caller.

  Args:
    options: of the fit.
    s: the frozen S.
    pictures: what the network sees.
    optimizer: of its parameters.

  Returns:
    `(state, constants, batch) -> (state, scalars)`; `constants['s']` holds
    S's variables.
  """
  network = network_of(options)

  def loss_fn(params, stats, constants, batch):
    valid, labels = valid_pixels(batch), batch['label']
    logits = logits_of(s, constants['s'], batch)
    images = batch['image'].astype(jnp.float32)
    seen = jax.lax.stop_gradient(pictures(constants, images, logits))
    (right, ious), updated = network.apply(
      {'params': params, **stats}, seen, logits, True, mutable=['batch_stats']
    )
    target, present = losses.class_ious(
      jnp.argmax(logits, axis=-1), labels, valid, network.num_classes
    )
    pixels = losses.correctness_loss(right, logits, labels, valid)
    classes = losses.iou_loss(ious, target, present)
    scalars = {'loss': pixels + classes, 'pixels': pixels, 'ious': classes}
    return scalars['loss'], (updated, scalars)

  def step(state: FitState, constants: Any, batch: Batch):
    grads, (stats, scalars) = jax.grad(loss_fn, has_aux=True)(
      state.params, state.stats, constants, batch
    )
    updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
    state = dataclasses.replace(
      state,
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      stats=stats,
      opt_state=opt_state,
    )
    return state, scalars

  return step
