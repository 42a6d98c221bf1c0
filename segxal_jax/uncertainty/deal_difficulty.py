"""DEAL's difficulty entropy: are the levels of difficulty of an image mixed?"""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def levels_entropy(
  difficulty: Float[Array, 'b h w'],
  usable: Bool[Array, 'b h w'],
  levels: int,
) -> Float[Array, ' b']:
  """Entropy of the histogram of an image's difficulties, over ln levels.

  As in the authors' code, the levels divide the image's own range. An image
  of one difficulty, or without a usable pixel, has entropy 0.

  Args:
    difficulty: of each pixel.
    usable: pixels that count.
    levels: bins of the histogram.
  """
  axes = (-2, -1)
  low = jnp.min(jnp.where(usable, difficulty, jnp.inf), axes, keepdims=True)
  high = jnp.max(jnp.where(usable, difficulty, -jnp.inf), axes, keepdims=True)
  span = jnp.where(high > low, high - low, 1.0)
  level = jnp.floor((difficulty - low) / span * levels)
  level = jnp.clip(jnp.where(usable, level, 0), 0, levels - 1)
  votes = jax.nn.one_hot(level.astype(jnp.int32), levels) * usable[..., None]
  counts = jnp.sum(votes, axis=(1, 2))
  share = counts / jnp.maximum(jnp.sum(counts, -1, keepdims=True), 1)
  logs = jnp.log(jnp.where(share > 0, share, 1.0))
  return -jnp.sum(share * logs, axis=-1) / max(math.log(levels), 1e-30)
