"""Monte-Carlo dropout that computes again only what dropout changes.

What comes before the first dropout is the same in every pass, and what comes
after the last layer with dropout is linear in the class scores, so the mean of
the logits over many passes can be taken at the scores' own stride: exact, and
nearly free. How much passes disagree is not linear: there each of them goes up
to the size of the image and through a softmax.
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
# Powers below it are nothing beside 1, and slow: below the normal numbers.
_LEAST = -60.0


def problem(network: SegmentationNetwork) -> str | None:
  """Why Monte-Carlo dropout cannot be used with a network, or None."""
  if not isinstance(network, IN_THREE_PARTS):
    known = ', '.join(kind.__name__ for kind in IN_THREE_PARTS)
    return (
      f'Monte-Carlo dropout needs a network in three parts ({known}), which '
      f'{type(network).__name__} is not'
    )
  if getattr(network, 'head', '') == 'v2' or not network.dropout_rate:
    return (
      'Monte-Carlo dropout needs a network that was trained with dropout: set '
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
  keys = _keys_of(jax.random.key(seed), index)
  scores = _scores(network, variables, encoded, keys)
  coarse = _mean_over(scores, samples)
  return network.apply(
    variables, encoded, coarse, images.shape[1:3], method='upsample'
  )


def uncertainty(
  network: SegmentationNetwork,
  variables: Any,
  images: Float[Array, 'b h w 3'],
  index: Integer[Array, ' b'],
  *,
  key: Array,
  samples: int,
) -> Float[Array, 'b h w 2']:
  """Entropy of the mean softmax over passes, and what passes disagree about.

  Args:
    network: S; `problem(network)` must be None.
    variables: of S; batch norm uses its running statistics.
    images: [b h w 3] RGB, float32, 0..255.
    index: [b] number of each image, as `mean_logits` takes it.
    key: of the masks.
    samples: number of passes, at least 1.

  Returns:
    In nats: entropy of the mean, in [0, ln c], and that less the passes' mean
    entropy, the mutual information of class and mask, at least 0. No gradient
    flows through it.
  """
  variables, images = jax.lax.stop_gradient((variables, images))
  encoded = network.apply(variables, images, method='encode')
  scores = _scores(network, variables, encoded, _keys_of(key, index))
  size = images.shape[1:3]

  def softmax_and_entropy(number: Array) -> tuple[Array, Array]:
    logits = network.apply(
      variables, encoded, scores(number), size, method='upsample'
    )
    # As planes: that is how they come, and takes half the time of the rest.
    return _softmax_and_entropy(jnp.moveaxis(logits, -1, 1))

  mean, within = _mean_over(softmax_and_entropy, samples)
  logs = jnp.log(jnp.maximum(mean, jnp.finfo(mean.dtype).tiny))
  whole = jnp.maximum(-jnp.sum(mean * logs, axis=1), 0.0)
  return jnp.stack([whole, jnp.maximum(whole - within, 0.0)], axis=-1)


def _softmax_and_entropy(
  logits: Float[Array, 'b c h w'],
) -> tuple[Float[Array, 'b c h w'], Float[Array, 'b h w']]:
  """Both of one exponential a class, which are most of what a pass takes."""
  below = logits - jnp.max(logits, axis=1, keepdims=True)
  below = jnp.maximum(below, _LEAST)
  parts = jnp.exp(below)
  total = jnp.sum(parts, axis=1)
  entropy = jnp.log(total) - jnp.sum(parts * below, axis=1) / total
  return parts / total[:, None], entropy


def _keys_of(key: Array, index: Integer[Array, ' b']) -> Array:
  """The key of each image of a batch."""
  return jax.vmap(lambda i: jax.random.fold_in(key, i))(index)


def _scores(
  network: SegmentationNetwork, variables: Any, encoded: Any, keys: Array
) -> Callable[[Array], Array]:
  """By the number of a pass, the scores of a batch in it, at their stride."""

  def of_image(encoded_image: Any, key: Array) -> Array:
    batch = jax.tree.map(lambda leaf: leaf[None], encoded_image)
    coarse = network.apply(
      variables, batch, method='sample', rngs={'dropout': key}
    )
    return coarse[0]

  def scores(number: Array) -> Array:
    mine = jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)
    return jax.vmap(of_image)(encoded, mine)

  return scores


def _mean_over(sample: Callable[[Array], Any], samples: int) -> Any:
  """Mean over passes, one at a time: memory does not grow with them."""
  shapes = jax.eval_shape(sample, jax.ShapeDtypeStruct((), jnp.int32))
  zero = jax.tree.map(lambda one: jnp.zeros(one.shape), shapes)
  total = jax.lax.fori_loop(
    0,
    samples,
    lambda number, total: jax.tree.map(jnp.add, total, sample(number)),
    zero,
  )
  return jax.tree.map(lambda one: one / samples, total)
