"""Monte-Carlo dropout that computes again only what dropout changes.

The mean of the logits over many stochastic passes is wanted. What comes
before the first dropout is the same in every pass, and what comes after the
last layer with dropout is linear in the class scores, so the mean can be
taken at the scores' own stride: exact, and nearly free.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.protocol import SegmentationNetwork

# Networks in three parts: `encode` (no dropout), `sample` (dropout) and
# `upsample` (linear in the scores).
IN_THREE_PARTS = (FCN8, DeepLabV2, EfficientNetUNet)


def problem(network: SegmentationNetwork) -> str | None:
  """Why Monte-Carlo dropout cannot be used with a network, or None."""
  if not isinstance(network, IN_THREE_PARTS):
    known = ', '.join(kind.__name__ for kind in IN_THREE_PARTS)
    return (
      f'mc_dropout needs a network in three parts ({known}), which '
      f'{type(network).__name__} is not'
    )
  if getattr(network, 'head', '') == 'v2' or not network.dropout_rate:
    return (
      'mc_dropout needs a network that was trained with dropout: set '
      'config.segmentation.dropout_rate, for deeplab_v2 with '
      "config.segmentation.head='synthcp'"
    )
  return None


def mean_logits(
  network: SegmentationNetwork,
  variables: Any,
  images: Float[Array, 'b h w 3'],
  index: Integer[Array, ' b'],
  *,
  seed: int,
  samples: int,
) -> Float[Array, 'b h w c']:
  """Logits averaged over passes with dropout on, as SynthCP averages them.

  Args:
    network: S; `problem(network)` must be None.
    variables: of S; batch norm uses its running statistics.
    images: [b h w 3] RGB, float32, 0..255.
    index: [b] number of each image within its data set: an image draws the
      same masks whatever batch it is in.
    seed: of the masks.
    samples: number of passes, at least 1.

  Returns:
    [b h w c] float32.
  """
  # The same computation as in the deterministic pass: XLA does it once.
  encoded = network.apply(variables, images, method='encode')

  def scores_of(encoded_image: Any, key: Array) -> Array:
    batch = jax.tree.map(lambda leaf: leaf[None], encoded_image)
    coarse = network.apply(
      variables, batch, method='sample', rngs={'dropout': key}
    )
    return coarse[0]

  keys = jax.vmap(lambda i: jax.random.fold_in(jax.random.key(seed), i))(index)
  coarse = _mean_over(jax.vmap(scores_of), encoded, keys, samples)
  return network.apply(
    variables, encoded, coarse, images.shape[1:3], method='upsample'
  )


def _mean_over(
  scores: Callable[[Any, Array], Array],
  encoded: Any,
  keys: Array,
  samples: int,
) -> Array:
  """Mean over samples, one at a time: memory does not grow with them."""

  def sample(number: Array) -> Array:
    mine = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
    return scores(encoded, mine)

  zero = jnp.zeros(
    jax.eval_shape(sample, jax.ShapeDtypeStruct((), jnp.int32)).shape
  )
  total = jax.lax.fori_loop(
    0, samples, lambda number, total: total + sample(number), zero
  )
  return total / samples
