"""ResNet101's encoder in Caffe's form, at stride 8: DeepLab's backbone."""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import pooling
from fsnet_jax.models.layers import basic, initializers

STAGE_CHANNELS = (64, 128, 256, 512)
STAGE_STRIDES = (1, 2, 1, 1)
STAGE_DILATIONS = (1, 1, 2, 4)
EXPANSION = 4
# As SynthCP initialises every convolution of its DeepLab.
CONV_STD = 0.01


class Bottleneck(nn.Module):
  """1x1, 3x3 and 1x1 convolutions and a shortcut; the stride is on the first.

  Attributes:
    features: channels of the first two convolutions; the third has
      `EXPANSION` times as many.
    stride: of the first convolution and of the shortcut.
    dilation: of the 3x3 convolution.
    project: whether the shortcut has a convolution.
    frozen_bn: whether scale and bias of batch norm get no gradient.
    dtype: of the computation.
  """

  features: int
  stride: int = 1
  dilation: int = 1
  project: bool = False
  frozen_bn: bool = False
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
      [b h2 w2 k2] features.
    """
    wide = EXPANSION * self.features

    def convolve(
      x: Array, names: tuple[str, str], features: int, size: int = 1, **how: int
    ) -> Array:
      x = _conv(features, size, self.dtype, names[0], **how)(x)
      return _norm(train, self.dtype, names[1], self.frozen_bn)(x)

    stride, dilation = self.stride, self.dilation
    y = convolve(x, ('conv1', 'bn1'), self.features, stride=stride)
    y = nn.relu(y)
    y = convolve(y, ('conv2', 'bn2'), self.features, 3, dilation=dilation)
    y = nn.relu(y)
    y = convolve(y, ('conv3', 'bn3'), wide)
    if self.project:
      names = ('downsample_conv', 'downsample_bn')
      x = convolve(x, names, wide, stride=stride)
    return nn.relu(x + y)


class ResNet101(nn.Module):
  """ResNet101 without its classifier, at output stride 8.

  Caffe's form, as DeepLab uses it: the stride is on the first 1x1 of a
  block (torchvision has it on the 3x3), the first pooling rounds up, and the
  last two stages have dilations 2 and 4 in place of strides. Cell i of the
  result is centred at pixel 8 i, so 256 x 512 give 33 x 65 cells.

  Names follow torchvision's: `conv1`, `bn1`, `layer1_0/conv1`, ...; the
  shortcut's pair is `downsample_conv` and `downsample_bn`.

  References: He et al., Deep Residual Learning, 2016; Chen et al., DeepLab,
  2017; SynthCP for the initialisation, N(0, 0.01).

  Attributes:
    width: multiplier of the channels.
    blocks: in each of the four stages.
    frozen_bn: whether scale and bias of batch norm get no gradient; the
      statistics of the batch are used and recorded all the same, as SynthCP
      trains.
    remat: whether blocks are computed again in the backward pass.
    dtype: of the computation.
  """

  width: float = 1.0
  blocks: Sequence[int] = (3, 4, 23, 3)
  frozen_bn: bool = False
  remat: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool = False
  ) -> tuple[Array, Array, Array, Array]:
    """Encodes a batch of images of any size.

    Args:
      x: [b h w k], already normalised.
      train: whether batch statistics are of the batch.

    Returns:
      The outputs of the four stages, at strides 4, 8, 8 and 8, with 256,
      512, 1024 and 2048 channels times the width.
    """
    stem = basic.scaled(64, self.width)
    x = _conv(stem, 7, self.dtype, 'conv1', stride=2)(x.astype(self.dtype))
    x = nn.relu(_norm(train, self.dtype, 'bn1', self.frozen_bn)(x))
    x = pooling.max_pool_3x3(x, ceil_mode=True)
    block = basic.remat(Bottleneck, self.remat)
    stages = []
    for stage, count in enumerate(self.blocks):
      for index in range(count):
        x = block(
          basic.scaled(STAGE_CHANNELS[stage], self.width),
          STAGE_STRIDES[stage] if index == 0 else 1,
          STAGE_DILATIONS[stage],
          index == 0,
          self.frozen_bn,
          self.dtype,
          name=f'layer{stage + 1}_{index}',
        )(x, train)
      stages.append(x)
    first, second, third, fourth = stages
    return first, second, third, fourth


def is_affine(path: Sequence[str]) -> bool:
  """Whether a parameter is the scale or bias of a batch norm in here.

  Args:
    path: names from the root of the parameters to the leaf.
  """
  return path[-2].removeprefix('downsample_').startswith('bn')


def _conv(
  features: int, size: int, dtype: Any, name: str, **how: int
) -> nn.Conv:
  return basic.conv(
    features,
    size,
    use_bias=False,
    kernel_init=initializers.normal(CONV_STD),
    dtype=dtype,
    name=name,
    **how,
  )


def _norm(train: bool, dtype: Any, name: str, frozen: bool) -> nn.Module:
  return basic.batch_norm(
    train, dtype, name, unbiased=True, frozen_affine=frozen
  )
