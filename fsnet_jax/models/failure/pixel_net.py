"""The per-pixel failure network: a correction to MSP from maps of one pixel."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.failure.pixel_maps import COLORS, PixelMaps

# Share of the newest batch in the running statistics, at the least.
_NEWEST = 0.01
# Added to variances: a class that is never predicted has none.
EPSILON = 1e-4


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
    return (values - mean.value) * jax.lax.rsqrt(variance + EPSILON)


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
