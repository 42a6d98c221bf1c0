"""Region impurity and prediction uncertainty (RIPU, Xie et al., CVPR 2022).

A window is worth a label where the network sees many classes in it and is
sure of none: the product of the entropy of the classes predicted in the
window and of the mean entropy of its pixels. Both are over ln c, so that the
product lies in [0, 1].
"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from segxal_jax.uncertainty import pixelwise


def window_sums(
  values: Float[Array, 'b h w k'], radius: int
) -> Float[Array, 'b h w k']:
  """Sum over the (2 radius + 1)^2 window around each pixel, zero outside.

  One axis after the other: the work grows with the side, not with the area.
  """
  side = 2 * radius + 1
  for axis in (1, 2):
    window = tuple(side if a == axis else 1 for a in range(4))
    values = jax.lax.reduce_window(
      values, 0.0, jax.lax.add, window, (1, 1, 1, 1), 'SAME'
    )
  return values


def region_impurity(
  prediction: Integer[Array, 'b h w'], num_classes: int, radius: int
) -> Float[Array, 'b h w']:
  """Entropy of the classes predicted around each pixel, over ln c.

  Args:
    prediction: classes 0..num_classes - 1.
    num_classes: c.
    radius: k of the window's side 2 k + 1; a window cut by the border counts
      the pixels that it has.
  """
  votes = jax.nn.one_hot(prediction, num_classes, dtype=jnp.float32)
  counts = window_sums(votes, radius)
  share = counts / jnp.sum(counts, axis=-1, keepdims=True)
  logs = jnp.log(jnp.where(share > 0, share, 1.0))
  nats = -jnp.sum(share * logs, axis=-1)
  return jnp.clip(nats / max(math.log(num_classes), 1e-30), 0.0, 1.0)


def ripu(logits: Float[Array, 'b h w c'], radius: int) -> Float[Array, 'b h w']:
  """Region impurity times the window's mean entropy, in [0, 1].

  Args:
    logits: unnormalised class scores.
    radius: k of the window's side 2 k + 1.
  """
  impurity = region_impurity(jnp.argmax(logits, -1), logits.shape[-1], radius)
  entropy = pixelwise.entropy(logits)[..., None]
  total = window_sums(entropy, radius)
  size = window_sums(jnp.ones_like(entropy), radius)
  return impurity * (total / size)[..., 0]
