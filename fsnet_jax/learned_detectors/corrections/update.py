"""What the trainings of all corrections share: loop, optimiser, second pass."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fsnet_jax.learned_detectors.base import (
  Batch,
  FitState,
  Setting,
  Variables,
)
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.segmentation import outputs
from fsnet_jax.models.segmentation.protocol import (
  SegmentationNetwork,
  SegmentationOutput,
)
from input_pipeline.training_mix import training_mix
from input_pipeline.transforms import Transform

# Updates over which the learning rate rises.
_WARMUP_STEPS = 30

# `(params, stats, variables of S, batch, key) -> (loss, (stats, scalars))`.
Loss = Callable[..., tuple[Array, tuple[Any, dict[str, Array]]]]


def optimizer(
  learning_rate: float, weight_decay: float, steps: int
) -> optax.GradientTransformation:
  """AdamW whose learning rate rises, then falls to zero along a cosine.

  Args:
    learning_rate: the largest.
    weight_decay: decoupled, of every parameter.
    steps: updates in all.
  """
  warmup = min(_WARMUP_STEPS, max(steps // 10, 1))
  schedule = optax.warmup_cosine_decay_schedule(
    0.0, learning_rate, warmup, max(steps, warmup + 1)
  )
  return optax.adamw(schedule, weight_decay=weight_decay)


def make_step(
  loss_fn: Loss, transform: optax.GradientTransformation
) -> Callable[[FitState, Any, Batch], tuple[FitState, dict[str, Array]]]:
  """The update of a correction, to be compiled by the caller.

  Args:
    loss_fn: see `Loss`; `scalars` has 'loss'.
    transform: of `optimizer`.

  Returns:
    `(state, constants, batch) -> (state, scalars)`; `constants['s']` holds
    S's variables.
  """

  def step(state: FitState, constants: Any, batch: Batch):
    key = jax.random.fold_in(jax.random.wrap_key_data(state.key), state.step)
    grads, (stats, scalars) = jax.grad(loss_fn, has_aux=True)(
      state.params, state.stats, constants['s'], batch, key
    )
    updates, opt_state = transform.update(grads, state.opt_state, state.params)
    state = dataclasses.replace(
      state,
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      stats=stats,
      opt_state=opt_state,
    )
    return state, scalars

  return step


def train(
  setting: Setting[Any],
  title: str,
  initial: tuple[Any, Any],
  loss_fn: Loss,
  folder: Path,
  flip: bool = False,
  augment: tuple[str | Transform, ...] | None = None,
) -> Cost:
  """Trains a network of phase 3, or goes on with it.

  Args:
    setting: whose own options have `steps`, `batch_size`, `learning_rate`,
      `weight_decay` and, without `augment`, `mix`.
    title: what progress lines call it.
    initial: parameters and statistics before the first step.
    loss_fn: see `Loss`.
    folder: of the fit.
    flip: whether S is to see the mirrored images too.
    augment: transforms of the images; None for those of the mix.
  """
  from fsnet_jax.learned_detectors import fit_loop  # Imports orbax and grain.

  options, own = setting.options, setting.options.own
  transform = optimizer(own.learning_rate, own.weight_decay, own.steps)
  if augment is None:
    augment = (training_mix(own.mix, options.augment),)
  fit_loop.run(
    setting,
    fit_loop.Job(
      title=title,
      steps=own.steps,
      batch_size=own.batch_size,
      state=fit_loop.new_state(options, *initial, transform),
      step=make_step(loss_fn, transform),
      constants={'s': setting.variables},
      augment=augment,
      predictions=False,
      flip=flip,
    ),
    folder,
  )
  return Cost(images=own.steps * own.batch_size)


def frozen_output(
  network: SegmentationNetwork, s: Variables, batch: Batch
) -> SegmentationOutput:
  """S as it will be watched: without dropout, by its running statistics."""
  return jax.lax.stop_gradient(outputs.output_of_batch(network, s, batch))


def flip_logits(
  network: SegmentationNetwork, s: Variables, batch: Batch
) -> Float[Array, 'b h w c']:
  """Logits of the mirrored images, mirrored back."""
  return jax.lax.stop_gradient(outputs.flip_logits_of_batch(network, s, batch))


def dropout_uncertainty(
  network: SegmentationNetwork,
  s: Variables,
  batch: Batch,
  key: Array,
  samples: int,
) -> Float[Array, 'b h w 2']:
  """Of passes with dropout, whose masks are drawn anew for each image."""
  images = batch['image'].astype(jnp.float32)
  rows = jnp.arange(len(images))
  return mc_dropout.uncertainty(
    network, s, images, rows, key=key, samples=samples
  )
