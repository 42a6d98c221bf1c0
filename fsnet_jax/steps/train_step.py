"""The two compiled training steps: S alone, and S and F together."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from common_lib import class_table
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.steps import gradient_accumulation, losses
from fsnet_jax.steps.optimizers import l2_weight_schedule

# Fields of a state that say what the networks are; the rest is for training.
WEIGHTS = ('params', 'batch_stats')

Batch = Mapping[str, Array]
Scalars = dict[str, Array]


@flax.struct.dataclass
class TrainState:
  """All that training changes; a checkpoint holds it whole.

  Attributes:
    step: int32, number of updates done.
    phase2_start: int32, first step of the joint phase, or
      `optimizers.NOT_YET` while that is undecided.
    params: `{'segmentation': ..., 'failure': ...}`, float32.
    batch_stats: the same keys; running statistics of batch norm.
    opt_state: of `optimizers.make_optimizer`.
    dropout_key: data of a PRNG key; each step folds its number in, so a
      resumed run draws what an unbroken one draws.
  """

  # Not typed as arrays: a state may be one of shapes.
  step: Any
  phase2_start: Any
  params: Any
  batch_stats: Any
  opt_state: Any
  dropout_key: Any


@dataclasses.dataclass(frozen=True)
class LossOptions:
  """How L2 is formed and where its gradient goes.

  Attributes:
    form: of `losses.failure_loss`.
    beta_range: of `losses.failure_loss`.
    l2_weight: weight of L2 in the joint phase.
    l2_warmup_steps: steps over which that weight rises from 0.
    stop_gradient_to_segmentation: if True, L2 trains F alone. The paper
      lets it reach S ("jointly optimizes both", III-B).
  """

  form: str = 'balanced'
  beta_range: tuple[float, float] = (0.5, 0.99)
  l2_weight: float = 1.0
  l2_warmup_steps: int = 0
  stop_gradient_to_segmentation: bool = False


def create_state(
  model: FSNet,
  optimizer: optax.GradientTransformation,
  *,
  seed: int,
  image_size: tuple[int, int],
  phase2_start: int,
) -> TrainState:
  """A fresh state, deterministic by `seed`.

  Args:
    model: both networks.
    optimizer: of `optimizers.make_optimizer`.
    seed: of the parameters and of dropout.
    image_size: (h, w) that the networks will see.
    phase2_start: see `TrainState`.
  """
  params, batch_stats = model.init(seed, image_size)
  return TrainState(
    # Strong int32: a weakly typed step would compile twice after a restore.
    step=jnp.zeros((), jnp.int32),
    phase2_start=jnp.asarray(phase2_start, jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=jax.jit(optimizer.init)(params),
    dropout_key=jax.random.key_data(jax.random.key(seed)),
  )


def abstract_state(
  model: FSNet,
  optimizer: optax.GradientTransformation,
  image_size: tuple[int, int],
) -> TrainState:
  """A `ShapeDtypeStruct` for each array of `create_state`.

  What a checkpoint is read into: nothing is drawn or compiled.

  Args:
    model: both networks.
    optimizer: of `optimizers.make_optimizer`.
    image_size: (h, w) that the networks will see.
  """
  params, batch_stats = model.shapes(image_size)
  number = jax.ShapeDtypeStruct((), jnp.int32)
  return TrainState(
    step=number,
    phase2_start=number,
    params=params,
    batch_stats=batch_stats,
    opt_state=jax.eval_shape(optimizer.init, params),
    dropout_key=jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))),
  )


def _valid_pixels(batch: Batch) -> Array:
  """True where the label is not void; padding images are void throughout."""
  return batch['label'] != class_table.VOID


def _segment(model: FSNet, params, state: TrainState, batch: Batch):
  """Training-mode forward pass of S: output, statistics, L1."""
  key = jax.random.wrap_key_data(state.dropout_key)
  output, stats = model.segment(
    params,
    state.batch_stats,
    batch['image'].astype(jnp.float32),
    train=True,
    dropout_key=jax.random.fold_in(key, state.step),
  )
  valid = _valid_pixels(batch)
  loss = losses.segmentation_loss(
    output.logits, batch['label'], valid, batch.get('label_weight')
  )
  return output, stats, loss


def _phase1_loss(model: FSNet, params, state: TrainState, batch: Batch):
  """L1 alone; F is not even traced."""
  _, stats, loss = _segment(model, params, state, batch)
  return loss, (stats, {'loss': loss, 'loss_segmentation': loss})


def _joint_loss(
  model: FSNet, options: LossOptions, params, state: TrainState, batch: Batch
):
  """L1 + weight(step) * L2."""
  output, stats, segmentation_loss = _segment(model, params, state, batch)
  logits, stats = model.detect(
    params,
    stats,
    batch['image'].astype(jnp.float32),
    output,
    train=True,
    stop_gradient_to_segmentation=options.stop_gradient_to_segmentation,
  )
  valid = _valid_pixels(batch)
  # The target is made from the same stochastic pass as the logits that F
  # sees, so it describes exactly that prediction.
  target = losses.failure_target(output.logits, batch['label'])
  failure_loss = losses.failure_loss(
    logits, target, valid, options.form, options.beta_range
  )
  weight = l2_weight_schedule(
    state.phase2_start, options.l2_weight, options.l2_warmup_steps
  )(state.step)
  loss = segmentation_loss + weight * failure_loss
  wrong = jnp.sum((target & valid).astype(jnp.float32))
  scalars = {
    'loss': loss,
    'loss_segmentation': segmentation_loss,
    'loss_failure': failure_loss,
    'l2_weight': jnp.asarray(weight, jnp.float32),
    'train_error_rate': wrong / jnp.maximum(jnp.sum(valid), 1),
  }
  return loss, (stats, scalars)


def make_train_step(
  model: FSNet,
  optimizer: optax.GradientTransformationExtraArgs,
  *,
  phase: int,
  options: LossOptions,
  accumulate_steps: int = 1,
) -> Callable[[TrainState, Batch], tuple[TrainState, Scalars]]:
  """The update of one phase, to be compiled by the caller.

  Two compiled steps, not one with a `cond` inside: phase 1 then never runs
  F, and on CPU a convolution's gradient inside `lax.cond` is several times
  slower.

  Args:
    model: both networks.
    optimizer: of `optimizers.make_optimizer`.
    phase: 1 (L1 only) or 2 (L1 + L2).
    options: of L2.
    accumulate_steps: pieces the batch is worked through in, to save memory
      (see `gradient_accumulation.gradients`).

  Returns:
    `(state, batch) -> (state, scalars)`, where batch holds `image` uint8
    [b h w 3] RGB and `label` uint8 [b h w] (255 = void).
  """

  def loss_fn(params, state, batch):
    if phase == 1:
      return _phase1_loss(model, params, state, batch)
    return _joint_loss(model, options, params, state, batch)

  gradients = gradient_accumulation.gradients(loss_fn, accumulate_steps)

  def train_step(state: TrainState, batch: Batch):
    grads, (stats, scalars) = gradients(state.params, state, batch)
    updates, opt_state = optimizer.update(
      grads, state.opt_state, state.params, in_phase2=phase == 2
    )
    scalars['gradient_norm'] = optax.tree.norm(grads)
    state = dataclasses.replace(
      state,
      step=state.step + 1,
      params=optax.apply_updates(state.params, updates),
      batch_stats=stats,
      opt_state=opt_state,
    )
    return state, scalars

  return train_step
