"""EfficientNet-Lite0 without its head: an encoder that learns from little."""

from typing import Any, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import basic


class Stage(NamedTuple):
  """Blocks of one form.

  Attributes:
    repeats: number of blocks; only the first has the stride.
    kernel: rows and columns of the depthwise convolution.
    stride: of the first block.
    expansion: channels inside a block over channels that enter it.
    channels: that leave each block.
  """

  repeats: int
  kernel: int
  stride: int
  expansion: int
  channels: int


STEM_CHANNELS = 32
STAGES = (
  Stage(1, 3, 1, 1, 16),
  Stage(2, 3, 2, 6, 24),
  Stage(2, 5, 2, 6, 40),
  Stage(3, 3, 2, 6, 80),
  Stage(3, 5, 1, 6, 112),
  Stage(4, 5, 2, 6, 192),
  Stage(1, 3, 1, 6, 320),
)
# The last stage before each halving: strides 2, 4, 8, 16 and 32.
_SKIPS = (0, 1, 2, 4, 6)
# TensorFlow's, which the published weights were trained with.
_EPSILON = 1e-3


def _relu6(x: Array) -> Array:
  return jnp.clip(x, 0, 6)


class Block(nn.Module):
  """Inverted residual: 1x1 to more channels, depthwise, 1x1 to fewer.

  No squeeze-and-excite, and ReLU6 in place of swish: what tells the Lite
  family from EfficientNet.

  Attributes:
    stage: its form.
    first: whether it has the stage's stride.
    width: multiplier of the channels.
    dtype: of the computation.
  """

  stage: Stage
  first: bool
  width: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool
  ) -> Float[Array, 'b h2 w2 k2']:
    """Applies the block.

    Args:
      x: [b h w k] features.
      train: whether batch statistics are of the batch.

    Returns:
      [b h2 w2 k2] features, halved in size where the block has stride 2.
    """
    stage, entered = self.stage, x
    stride = stage.stride if self.first else 1
    inner = x.shape[-1] * stage.expansion
    if stage.expansion != 1:
      x = _relu6(self._convolve(x, train, 'expand', inner, 1))
    x = self._convolve(
      x, train, 'depthwise', inner, stage.kernel, stride=stride, groups=inner
    )
    outputs = basic.scaled(stage.channels, self.width)
    x = self._convolve(_relu6(x), train, 'project', outputs, 1)
    return x + entered if x.shape == entered.shape and stride == 1 else x

  def _convolve(
    self, x: Array, train: bool, name: str, features: int, size: int, **how: int
  ) -> Array:
    x = convolution(features, size, self.dtype, f'{name}_conv', **how)(x)
    return norm(train, self.dtype, f'{name}_bn')(x)


class EfficientNetLite0(nn.Module):
  """Seven stages of inverted residuals; 3.4 million parameters at width 1.

  The layers are `stem_conv`, `stem_bn` and `block0` ... `block15`, each with
  `expand_conv`, `depthwise_conv`, `project_conv` and a `..._bn` for each.

  References: Tan and Le, EfficientNet, 2019; the Lite family: TensorFlow's
  tpu/models/official/efficientnet/lite, 2020.

  Attributes:
    width: multiplier of the channels.
    remat: whether blocks are computed again in the backward pass.
    dtype: of the computation.
  """

  width: float = 1.0
  remat: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w 3'], train: bool = False
  ) -> tuple[Array, Array, Array, Array, Array]:
    """Encodes normalised images.

    Args:
      x: [b h w 3], ImageNet's mean 0 and deviation 1.
      train: whether batch statistics are of the batch.

    Returns:
      Features at strides 2, 4, 8, 16 and 32, with 16, 24, 40, 112 and 320
      channels times the width.
    """
    stem = basic.scaled(STEM_CHANNELS, self.width)
    x = convolution(stem, 3, self.dtype, 'stem_conv', stride=2)(x)
    x = _relu6(norm(train, self.dtype, 'stem_bn')(x))
    make = basic.remat(Block, self.remat)
    outputs, number = [], 0
    for stage in STAGES:
      for index in range(stage.repeats):
        block = make(
          stage, index == 0, self.width, self.dtype, name=f'block{number}'
        )
        x = block(x, train)
        number += 1
      outputs.append(x)
    return tuple(outputs[stage] for stage in _SKIPS)


def convolution(
  features: int, size: int, dtype: Any, name: str, **how: int
) -> nn.Conv:
  """A convolution without bias, padded as TensorFlow pads."""
  return basic.conv(
    features,
    size,
    padding='SAME',
    use_bias=False,
    dtype=dtype,
    name=name,
    **how,
  )


def norm(train: bool, dtype: Any, name: str) -> nn.Module:
  """Batch normalisation with TensorFlow's epsilon."""
  return basic.batch_norm(train, dtype, name, epsilon=_EPSILON, unbiased=True)
