"""What the trainings of all corrections share: loss, optimiser, second pass."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from fsnet_jax.learned_detectors.base import Batch, FitState, Variables
from fsnet_jax.models.segmentation.protocol import (
  SegmentationNetwork,
  SegmentationOutput,
)

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


def frozen_output(
  network: SegmentationNetwork, s: Variables, images: Float[Array, 'b h w 3']
) -> SegmentationOutput:
  """S as it will be watched: without dropout, by its running statistics."""
  return jax.lax.stop_gradient(network.apply(s, images))


def flip_logits(
  network: SegmentationNetwork, s: Variables, images: Float[Array, 'b h w 3']
) -> Float[Array, 'b h w c']:
  """Logits of the mirrored images, mirrored back."""
  mirrored = network.apply(s, images[:, :, ::-1])
  return jax.lax.stop_gradient(mirrored.logits[:, :, ::-1])


def binary_cross_entropy(
  logits: Float[Array, '*b'],
  wrong: Array,
  valid: Float[Array, '*b'],
) -> Float[Array, '']:
  """Mean over valid pixels, in nats, without any weights.

  A proper loss: its least value is at the true probabilities, so that the
  sigmoid of what is learnt is P(wrong).

  Args:
    logits: log-odds of being misclassified.
    wrong: True where S is.
    valid: 1 where there is a label.
  """
  losses = optax.sigmoid_binary_cross_entropy(logits, wrong.astype(jnp.float32))
  # Whatever a void pixel's logit is, it adds nothing.
  losses = jnp.where(valid > 0, losses, 0.0)
  return jnp.sum(losses) / jnp.maximum(jnp.sum(valid), 1.0)
