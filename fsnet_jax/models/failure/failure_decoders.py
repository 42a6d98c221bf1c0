"""Decoders F_D: from what the encoders found to one failure logit a pixel.

Each is a module called with the same three things: `z` [b fh fw k], the
deepest features; `stages`, which holds for each of four strides (4, 8, 16,
32) the encoders' features there; and `pixels` [b h w k], the encoders'
inputs at image size. Each returns [b h w 1].

The last layer's bias begins at zero, a probability of one half: that is what
an uninformed detector should say under a class-balanced loss.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.sizes import grid_of

# Channels after each step up, and those of the steps to strides 16 .. 1.
WIDTHS = (256, 128, 64, 32, 16)
_HEAD_CHANNELS = 64


class ConvUnit(nn.Module):
  """Convolution, batch norm, ReLU.

  Attributes:
    features: output channels.
    size: of the kernel.
    dtype: of the computation.
  """

  features: int
  size: int = 3
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool
  ) -> Float[Array, 'b h w k2']:
    """Applies the three.

    Args:
      x: [b h w k] features.
      train: whether batch statistics are of the batch.

    Returns:
      [b h w k2], of the same size.
    """
    conv = basic.conv(
      self.features, self.size, use_bias=False, dtype=self.dtype, name='conv'
    )
    return nn.relu(basic.batch_norm(train, self.dtype, 'bn')(conv(x)))


class LiteralDecoder(nn.Module):
  """The paper's decoder: `z` alone, upsampled to the image.

  The paper does not name its layers. Here: a 1x1 convolution to 256
  channels; then, until full size, upsampling by two and a 3x3 convolution;
  then a 1x1 convolution to one channel. Errors lie along boundaries, which
  features at stride 32 cannot locate.

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation.
    remat: whether each step is computed again in the backward pass.
  """

  width: float = 1.0
  dtype: Any = jnp.float32
  remat: bool = False

  @nn.compact
  def __call__(
    self,
    z: Float[Array, 'b fh fw k'],
    stages: Sequence[Sequence[Array]],
    pixels: Float[Array, 'b h w k2'],
    train: bool,
  ) -> Float[Array, 'b h w 1']:
    """Decodes; see the module's docstring."""
    unit = basic.remat(ConvUnit, self.remat)
    height, width = size = grid_of(pixels)
    widths = [basic.scaled(channels, self.width) for channels in WIDTHS]
    x = unit(widths[0], 1, self.dtype, name='project')(z, train)
    for step, channels in enumerate(widths, 1):
      rows, columns = before = grid_of(x)
      grid = (min(2 * rows, height), min(2 * columns, width))
      if grid == before:
        break
      x = resizing.resize_bilinear(x, grid)
      x = unit(channels, 3, self.dtype, name=f'up{step}')(x, train)
    return resizing.resize_bilinear(_last(self.dtype)(x), size)


class SkipDecoder(nn.Module):
  """A U-Net-like decoder: each step up meets the features of its stride.

  The steps to strides 16, 8 and 4 concatenate the encoders' stages, those to
  2 and 1 the encoders' inputs themselves, so that boundaries can be located
  at the pixel. The stages that are no finer than `z` join it at its own
  grid, so the parameters depend on the stride of S_E(x).

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation.
    remat: whether each step is computed again in the backward pass.
  """

  width: float = 1.0
  dtype: Any = jnp.float32
  remat: bool = False

  @nn.compact
  def __call__(
    self,
    z: Float[Array, 'b fh fw k'],
    stages: Sequence[Sequence[Array]],
    pixels: Float[Array, 'b h w k2'],
    train: bool,
  ) -> Float[Array, 'b h w 1']:
    """Decodes; see the module's docstring."""
    unit = basic.remat(ConvUnit, self.remat)
    h, w = pixels.shape[1:3]
    pixels = pixels.astype(self.dtype)
    half = ((h + 1) // 2, (w + 1) // 2)
    rungs = [
      *stages[2::-1],  # Strides 16, 8, 4; stride 32 is in z.
      (resizing.resize_bilinear(pixels, half),),
      (pixels,),
    ]
    widths = [basic.scaled(channels, self.width) for channels in WIDTHS]
    coarse = [
      resizing.resize_bilinear(features, grid_of(z))
      for rung in rungs
      for features in rung
      if features.shape[1] <= z.shape[1]
    ]
    x = jnp.concatenate([z, *coarse], -1)
    x = unit(widths[0], 1, self.dtype, name='project')(x, train)
    for step, (channels, rung) in enumerate(zip(widths, rungs), 1):
      if rung[0].shape[1] <= z.shape[1]:
        continue
      x = resizing.resize_bilinear(x, grid_of(rung[0]))
      x = jnp.concatenate([x, *rung], -1)
      x = unit(channels, 3, self.dtype, name=f'up{step}')(x, train)
    return _last(self.dtype)(x)


class FourScaleDecoder(nn.Module):
  """The head of SynthCP's comparison network, on both encoders.

  Each of the four stages (the last with S_E(x), as `z`) goes through a 1x1
  convolution to 64 channels; all are upsampled, concatenated and mapped to
  one channel. A 1x1 convolution and bilinear upsampling commute, so each
  stage is mapped to its share of that channel first and upsampled after:
  the same values for a fraction of the work.

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation.
    remat: whether each step is computed again in the backward pass.
  """

  width: float = 1.0
  dtype: Any = jnp.float32
  remat: bool = False

  @nn.compact
  def __call__(
    self,
    z: Float[Array, 'b fh fw k'],
    stages: Sequence[Sequence[Array]],
    pixels: Float[Array, 'b h w k2'],
    train: bool,
  ) -> Float[Array, 'b h w 1']:
    """Decodes; see the module's docstring."""
    unit = basic.remat(ConvUnit, self.remat)
    channels = basic.scaled(_HEAD_CHANNELS, self.width)
    total = self.param('bias', initializers.zeros, (1,), jnp.float32)
    inputs = [jnp.concatenate(stage, -1) for stage in stages[:3]] + [z]
    for scale, x in enumerate(inputs, 1):
      x = unit(channels, 1, self.dtype, name=f'scale{scale}')(x, train)
      share = basic.conv(
        1,
        1,
        use_bias=False,
        kernel_init=initializers.uniform_fan_in(len(inputs) * channels),
        dtype=self.dtype,
        name=f'score{scale}',
      )(x)
      share = basic.at_least_float32(share)
      total = total + resizing.resize_bilinear(share, grid_of(pixels))
    return total


DECODERS = {
  'literal': LiteralDecoder,
  'skips': SkipDecoder,
  'four_scale': FourScaleDecoder,
}


def _last(dtype: Any) -> nn.Conv:
  return basic.conv(
    1,
    1,
    kernel_init=initializers.uniform_fan_in(),
    dtype=dtype,
    name='score',
  )
