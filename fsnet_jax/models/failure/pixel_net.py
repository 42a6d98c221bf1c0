"""The per-pixel failure network: a correction to MSP from maps of one pixel."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.failure.pixel_maps import COLORS, PixelMaps
from fsnet_jax.models.network import output_of

# Share of the newest batch in the running statistics, at the least.
_NEWEST = 0.01
# Added to variances: a class that is never predicted has none.
_EPSILON = 1e-4
# Pixels that a CPU takes at a time.
_CHUNK = 2048


class RunningStandardization(nn.Module):
  """Subtracts means and divides by deviations, both over all batches so far.

  Training and evaluation alike use the running statistics, so that a map
  that is the same all over an image means the same in both.
  """

  @nn.compact
  def __call__(
    self, values: Float[Array, '*b k'], valid: Float[Array, '*b'], train: bool
  ) -> Float[Array, '*b k']:
    """Standardises values.

    Args:
      values: any finite numbers.
      valid: 1 where a value counts for the statistics, 0 where not.
      train: whether the statistics learn from this batch.
    """
    size = (values.shape[-1],)
    count = self.variable('batch_stats', 'count', jnp.zeros, ())
    mean = self.variable('batch_stats', 'mean', jnp.zeros, size)
    square = self.variable('batch_stats', 'square', jnp.ones, size)
    if train and not self.is_initializing():
      # The first batches are averaged; a batch without pixels changes nothing.
      share = jnp.maximum(1 / (count.value + 1), _NEWEST)
      pixels = jnp.sum(valid)
      share = jnp.where(pixels > 0, share, 0.0)
      weights = (valid / jnp.maximum(pixels, 1.0)).reshape(-1)
      flat = values.reshape(-1, *size)
      mean.value += share * (weights @ flat - mean.value)
      square.value += share * (weights @ (flat * flat) - square.value)
      count.value += jnp.where(pixels > 0, 1.0, 0.0)
    variance = jnp.maximum(square.value - mean.value**2, 0.0)
    return (values - mean.value) * jax.lax.rsqrt(variance + _EPSILON)


class PixelFailureNet(nn.Module):
  """Three dense layers over the maps of a pixel, or twice three.

  Begins as MSP: the last layers are zero. Not in the paper.

  What a class looks like is most of what can be learnt near the training
  images, and what misleads where surfaces have other colours. So a second
  network sees all but the pixel's colour and contrast, and the mean of both is
  wrong in neither place.

  Attributes:
    num_classes: of S.
    hidden: units of the inner layers.
    dropout_rate: after each of them.
    colorless: whether there is the second network.
  """

  num_classes: int
  hidden: tuple[int, ...] = (64, 64)
  dropout_rate: float = 0.1
  colorless: bool = True

  def __call__(
    self,
    maps: PixelMaps,
    valid: Float[Array, '*b'] | None = None,
    train: bool = False,
  ) -> Float[Array, '*b']:
    """Mean of `members`."""
    return jnp.mean(self.members(maps, valid, train), axis=-1)

  @nn.compact
  def members(
    self,
    maps: PixelMaps,
    valid: Float[Array, '*b'] | None = None,
    train: bool = False,
  ) -> Float[Array, '*b m']:
    """Corrections to `maps.miss_logit` of each network, before `centred`.

    Args:
      maps: of any pixels.
      valid: 1 on pixels that the statistics learn from; None: all.
      train: whether they do, and dropout is on (stream 'dropout').
    """
    if valid is None:
      valid = jnp.ones(maps.first.shape)
    x = jnp.concatenate(
      [
        maps.scalars,
        jax.nn.one_hot(maps.first, self.num_classes),
        jax.nn.one_hot(maps.second, self.num_classes),
      ],
      axis=-1,
    )
    x = RunningStandardization(name='standardization')(x, valid, train)
    found = [self._network(x, train, '')]
    if self.colorless:
      parts = [x[..., : COLORS.start], x[..., COLORS.stop :]]
      rest = jnp.concatenate(parts, axis=-1)
      found.append(self._network(rest, train, 'colorless_'))
    return jnp.concatenate(found, axis=-1)

  def _network(self, x: Array, train: bool, prefix: str) -> Array:
    """[*b 1]; `prefix` is that of its layers' names."""
    for number, units in enumerate(self.hidden):
      x = nn.relu(nn.Dense(units, name=f'{prefix}hidden{number}')(x))
      x = nn.Dropout(self.dropout_rate, deterministic=not train)(x)
    zero = nn.initializers.zeros
    return nn.Dense(1, kernel_init=zero, name=f'{prefix}correction')(x)


def corrections(
  network: PixelFailureNet, variables: Mapping[str, Any], maps: PixelMaps
) -> Float[Array, 'b *n']:
  """What a trained network says, before `centred`.

  On a CPU a few thousand pixels at a time: what lies between its layers then
  stays in the cache, which takes a quarter of the time.

  Args:
    network: in evaluation mode.
    variables: of it.
    maps: [b *n ...].
  """
  first = maps.first
  if not conv_forms.rewriting() or first.size <= _CHUNK:
    return output_of(network, variables, maps)
  images = first.shape[0]
  count = first.size // images
  # Each image by itself, so that devices which share a batch have their own.
  size = max(_CHUNK // images, 1)
  chunks = -(-count // size)

  def divided(leaf: Array) -> Array:
    flat = leaf.reshape(images, count, *leaf.shape[first.ndim :])
    rest = ((0, 0),) * (flat.ndim - 2)
    flat = jnp.pad(flat, ((0, 0), (0, chunks * size - count), *rest))
    parts = flat.reshape(images, chunks, size, *flat.shape[2:])
    return jnp.moveaxis(parts, 1, 0)

  found = jax.lax.map(
    lambda part: output_of(network, variables, part),
    jax.tree.map(divided, maps),
  )
  found = jnp.moveaxis(found, 0, 1).reshape(images, chunks * size)
  return found[:, :count].reshape(first.shape)


def centred(
  corrections: Float[Array, 'b *n'],
  first: Integer[Array, 'b *n'],
  valid: Float[Array, 'b *n'],
  num_classes: int,
  share: float,
) -> Float[Array, 'b *n']:
  """Subtracts a share of what an image's pixels of one class have in common.

  Where corrections are wrong abroad they are wrong between classes and right
  within them: "all vegetation of this image is doubtful".

  Args:
    corrections: of each pixel.
    first: predicted classes.
    valid: 1 on pixels that count for the means.
    num_classes: of S.
    share: 0 leaves all as it is, 1 takes the whole mean away.
  """
  if not conv_forms.rewriting():
    own = jax.nn.one_hot(first, num_classes)
    pixels = tuple(range(1, corrections.ndim))
    counted = own * valid[..., None]
    sums = jnp.sum(counted * corrections[..., None], axis=pixels, keepdims=True)
    counts = jnp.sum(counted, axis=pixels, keepdims=True)
    means = sums / jnp.maximum(counts, 1.0)
    return corrections - share * jnp.sum(own * means, axis=-1)
  # On a CPU, adding to where the class is takes less than a plane a class.
  images = corrections.shape[0]
  rows = jnp.arange(images).reshape(images, *[1] * (corrections.ndim - 1))
  segment = rows * num_classes + first

  def total(values: Array) -> Array:
    return jax.ops.segment_sum(
      values.reshape(-1), segment.reshape(-1), images * num_classes
    )

  means = total(corrections * valid) / jnp.maximum(total(valid), 1.0)
  return corrections - share * means[segment]
