"""Losses of the detectors that learn a confidence, as SynthCP has them.

Void pixels add nothing to a sum, but count in the number that it is divided
by, as there.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Integer


def true_class_probability(
  logits: Float[Array, 'b h w c'], labels: Integer[Array, 'b h w']
) -> Float[Array, 'b h w']:
  """TCP: what the softmax gives to the label's class, in [0, 1].

  Args:
    logits: of S.
    labels: trainIds; where they are void, the result means nothing.
  """
  index = jnp.clip(labels.astype(jnp.int32), 0, logits.shape[-1] - 1)
  probs = jax.nn.softmax(logits, axis=-1)
  return jnp.take_along_axis(probs, index[..., None], axis=-1)[..., 0]


def tcp_loss(
  confidence_logits: Float[Array, 'b h w'],
  target: Float[Array, 'b h w'],
  valid: Bool[Array, 'b h w'],
) -> Float[Array, '']:
  """Squared error of the sigmoid, over all pixels; void ones count as 0."""
  error = jax.nn.sigmoid(confidence_logits) - target
  return jnp.mean(jnp.where(valid, jnp.square(error), 0.0))


def correctness_loss(
  confidence_logits: Float[Array, 'b h w'],
  logits: Float[Array, 'b h w c'],
  labels: Integer[Array, 'b h w'],
  valid: Bool[Array, 'b h w'],
) -> Float[Array, '']:
  """Cross-entropy of "S is right here", weighted by (max softmax)^2.

  Args:
    confidence_logits: of the detector; higher = right.
    logits: of S.
    labels: trainIds.
    valid: True on pixels that count; the others are 0 in the mean.

  Returns:
    The mean over all pixels, nats.
  """
  right = jnp.argmax(logits, axis=-1) == labels.astype(jnp.int32)
  sure = jnp.max(jax.nn.softmax(logits, axis=-1), axis=-1)
  sign = jnp.where(right, 1.0, -1.0)
  entropy = -jax.nn.log_sigmoid(sign * confidence_logits)
  return jnp.mean(jnp.where(valid, entropy * jnp.square(sure), 0.0))


def class_ious(
  prediction: Integer[Array, 'b h w'],
  labels: Integer[Array, 'b h w'],
  valid: Bool[Array, 'b h w'],
  num_classes: int,
) -> tuple[Float[Array, 'b c'], Bool[Array, 'b c']]:
  """Intersection over union of each class in each image.

  Args:
    prediction: classes of S.
    labels: trainIds.
    valid: True on pixels that count.
    num_classes: c.

  Returns:
    IoU in [0, 1], 0 where the class is neither predicted nor there, and
    whether the class is in the labels.
  """
  classes = jnp.arange(num_classes)
  said = (prediction[..., None] == classes) & valid[..., None]
  true = (labels[..., None] == classes) & valid[..., None]
  both = jnp.sum(said & true, (1, 2))
  union = jnp.sum(said | true, (1, 2))
  return both / jnp.maximum(union, 1), jnp.any(true, (1, 2))


def iou_loss(
  ious: Float[Array, 'b c'],
  target: Float[Array, 'b c'],
  present: Bool[Array, 'b c'],
) -> Float[Array, '']:
  """Smooth L1 over the classes in the labels; the others count as 0."""
  gap = jnp.abs(jnp.where(present, ious - target, 0.0))
  return jnp.mean(jnp.where(gap < 1, 0.5 * jnp.square(gap), gap - 0.5))
