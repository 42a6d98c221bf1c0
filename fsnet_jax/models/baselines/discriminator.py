"""SPADE's discriminator: patches at two scales, conditioned on the classes.

Reference: Wang et al., pix2pixHD, 2018; with spectral and instance norm as
SPADE has it.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.baselines.spectral import SpectralConv
from fsnet_jax.models.layers import basic

# Output channels and strides of the layers before the last.
LAYERS = ((64, 2), (128, 2), (256, 2), (512, 1))
SCALES = 2
_SLOPE = 0.2
_EPSILON = 1e-5


def instance_norm(x: Float[Array, 'b h w k']) -> Float[Array, 'b h w k']:
  """Each channel of each image to mean 0 and variance 1; no parameters."""
  wide = basic.at_least_float32(x)
  mean = wide.mean((1, 2), keepdims=True)
  var = wide.var((1, 2), keepdims=True)
  return ((wide - mean) / jnp.sqrt(var + _EPSILON)).astype(x.dtype)


def halved(x: Float[Array, 'b h w k']) -> Float[Array, 'b h2 w2 k']:
  """Mean over 3x3 cells at stride 2; beyond the edge nothing is counted."""
  return nn.avg_pool(
    x, (3, 3), (2, 2), ((1, 1), (1, 1)), count_include_pad=False
  )


class PatchDiscriminator(nn.Module):
  """4x4 convolutions; each output cell judges the patch that it sees.

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation; parameters and judgements are float32.
  """

  width: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool = False
  ) -> list[Array]:
    """Judges.

    Args:
      x: [b h w k] planes and picture.
      train: whether the spectral norms do a step.

    Returns:
      The output of each layer; the last is the judgement, [b h2 w2 1].
    """
    outputs = []
    for number, (channels, stride) in enumerate(LAYERS):
      inner = number > 0
      x = SpectralConv(
        basic.scaled(channels, self.width),
        4,
        stride,
        2,
        use_bias=not inner,  # Instance norm would take it off again.
        normalized=inner,
        dtype=self.dtype,
        name=f'conv{number}',
      )(x, train)
      x = nn.leaky_relu(instance_norm(x) if inner else x, _SLOPE)
      outputs.append(x)
    x = SpectralConv(
      1, 4, 1, 2, normalized=False, dtype=self.dtype, name='judge'
    )(x)
    return [*outputs, basic.at_least_float32(x)]


class MultiscaleDiscriminator(nn.Module):
  """One `PatchDiscriminator` at full size and one at half size.

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation.
  """

  width: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    planes: Float[Array, 'b h w c'],
    pictures: Float[Array, 'b h w 3'],
    train: bool = False,
  ) -> list[list[Array]]:
    """Judges pictures of known maps.

    Args:
      planes: of `class_maps.one_hot`.
      pictures: RGB in [-1, 1].
      train: whether the spectral norms do a step.

    Returns:
      By scale, the outputs of `PatchDiscriminator`.
    """
    x = jnp.concatenate([planes, pictures], -1)
    results = []
    for scale in range(SCALES):
      if scale:
        x = halved(x)
      one = PatchDiscriminator(self.width, self.dtype, name=f'scale{scale}')
      results.append(one(x, train))
    return results
