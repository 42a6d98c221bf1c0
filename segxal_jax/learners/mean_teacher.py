"""A mean teacher that labels what has no label (S4AL, approximate).

S4AL (Rangnekar et al., WACV 2023) trains with pseudo-labels and queries
regions; its code cannot be had, so this follows its successor's where that
is known and Tarvainen and Valpola (2017) elsewhere: the teacher is the moving
average of S's parameters, it labels every pixel without a label where it is
sure, and half of the images are of D^U. The average lives in the optimiser's
state, and the labels are completed before the usual step, so neither loop nor
checkpoint depends on it.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Integer

from common_lib.class_table import VOID
from fsnet_jax.models.fsnet import FSNet
from fsnet_jax.steps.train_step import TrainState
from segxal_jax.explanation.step import logits_fn, variables_of
from segxal_jax.learners.base import Plain, Step


class AverageState(NamedTuple):
  """State of `with_average`.

  Attributes:
    count: int32, updates done.
    average: of the parameters, float32.
    inner: of the optimiser within.
  """

  count: Any
  average: Any
  inner: Any


def with_average(
  inner: optax.GradientTransformationExtraArgs, decay: float
) -> optax.GradientTransformationExtraArgs:
  """An optimiser that keeps a moving average of the parameters.

  average_t = a average_(t-1) + (1 - a) params_t with a = min(decay, t /
  (t + 1)), t from 0: the plain mean at first, whatever parameters the run
  began with.

  Args:
    inner: what it does to the parameters.
    decay: largest weight of the past, 0 to 1.
  """

  def init(params):
    return AverageState(jnp.zeros((), jnp.int32), params, inner.init(params))

  def update(updates, state, params=None, **extra):
    updates, inner_state = inner.update(updates, state.inner, params, **extra)
    assert params is not None  # The training step gives them.
    weight = jnp.minimum(decay, state.count / (state.count + 1))
    average = jax.tree.map(
      lambda old, new: weight * old + (1 - weight) * new,
      state.average,
      optax.apply_updates(params, updates),
    )
    return updates, AverageState(state.count + 1, average, inner_state)

  return optax.GradientTransformationExtraArgs(init, update)


def completed(
  label: Integer[Array, 'b h w'],
  logits: Float[Array, 'b h w c'],
  confidence: float,
) -> Integer[Array, 'b h w']:
  """The labels, and the teacher's where there is none and it is sure.

  Args:
    label: trainIds, 255 = void.
    logits: of the teacher.
    confidence: probability from which its class counts.
  """
  probs = jax.nn.softmax(logits, axis=-1)
  sure = jnp.max(probs, axis=-1) >= confidence
  pseudo = jnp.argmax(probs, axis=-1).astype(label.dtype)
  return jnp.where((label == VOID) & sure, pseudo, label)


def label_weights(
  label: Integer[Array, 'b h w'], complete: Integer[Array, 'b h w']
) -> Float[Array, 'b h w']:
  """What each pixel counts, so that people and teacher say half each.

  The loss of a mean teacher is a mean over what is labelled plus one over what
  is not. Averaged together, the teacher would have nearly all of it as soon as
  most of D^L has a few labelled cells an image, and teach its own mistakes.

  Args:
    label: of people, trainIds, 255 = void.
    complete: `completed` of it.

  Returns:
    [b h w], 1 on average over the labelled pixels of `complete`; 1 everywhere
    where either has no pixel.
  """
  known = label != VOID
  own = jnp.sum(known.astype(jnp.float32))
  every = jnp.sum((complete != VOID).astype(jnp.float32))
  taught = every - own
  half = every / 2
  weights = jnp.where(
    known, half / jnp.maximum(own, 1.0), half / jnp.maximum(taught, 1.0)
  )
  return jnp.where((own > 0) & (taught > 0), weights, 1.0)


class MeanTeacher(Plain):
  """S, and a teacher that labels the rest of its images."""

  name = 'mean_teacher'
  needs_unlabelled = True

  def optimizer(self) -> optax.GradientTransformationExtraArgs:
    """See `Learner`."""
    decay = self._options.teacher_decay
    return with_average(super().optimizer(), decay)

  def train_step(self, model: FSNet, phase: int) -> Step:
    """See `Learner`.

    The teacher uses S's running statistics of batch norm and the same image
    as S, without the successor's three scales.
    """
    student_step = super().train_step(model, phase)
    apply = logits_fn(model)
    confidence = self._options.teacher_confidence

    def train_step(state, batch):
      variables = variables_of(self.scoring_params(state), state.batch_stats)
      logits = apply(variables, batch['image'].astype(jnp.float32))
      label = completed(batch['label'], logits, confidence)
      weights = label_weights(batch['label'], label)
      return student_step(
        state, {**batch, 'label': label, 'label_weight': weights}
      )

    return train_step

  def scoring_params(self, state: TrainState) -> Any:
    """See `Learner`: the teacher's."""
    return state.opt_state.average
