"""ResNet18's encoder, with torchvision's layout."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import pooling
from fsnet_jax.models.layers import basic

STAGE_CHANNELS = (64, 128, 256, 512)
# Of each stage of ResNet18; with 1 it is ResNet10.
STAGE_BLOCKS = 2


class BasicBlock(nn.Module):
  """Two 3x3 convolutions and a shortcut.

  Attributes:
    features: output channels.
    stride: of the first convolution and of the shortcut.
    dtype: of the computation.
  """

  features: int
  stride: int = 1
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

    def convolve(x: Array, size: int, stride: int, name: str) -> Array:
      layer = basic.conv(
        self.features,
        size,
        stride=stride,
        use_bias=False,
        dtype=self.dtype,
        name=f'{name}_conv' if name == 'downsample' else f'conv{name}',
      )
      norm = f'{name}_bn' if name == 'downsample' else f'bn{name}'
      return basic.batch_norm(train, self.dtype, norm)(layer(x))

    y = nn.relu(convolve(x, 3, self.stride, '1'))
    y = convolve(y, 3, 1, '2')
    if self.stride != 1 or x.shape[-1] != self.features:
      x = convolve(x, 1, self.stride, 'downsample')
    return nn.relu(x + y)


class ResNet18(nn.Module):
  """ResNet18 without its classifier, for any number of input channels.

  Names follow torchvision's: `conv1`, `bn1`, `layer1_0/conv1`, ...; the
  shortcut's pair is `downsample_conv` and `downsample_bn`.

  Reference: He et al., Deep Residual Learning, 2016.

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation.
    remat: whether blocks are computed again in the backward pass.
    blocks: of each stage.
  """

  width: float = 1.0
  dtype: Any = jnp.float32
  remat: bool = False
  blocks: int = STAGE_BLOCKS

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool = False
  ) -> tuple[Array, Array, Array, Array]:
    """Encodes a batch of feature maps of any size.

    Args:
      x: [b h w k], already normalised.
      train: whether batch statistics are of the batch.

    Returns:
      The outputs of the four stages, at strides 4, 8, 16 and 32 (sizes
      rounded up), with 64, 128, 256 and 512 channels times the width.
    """
    x = basic.conv(
      basic.scaled(64, self.width),
      7,
      stride=2,
      use_bias=False,
      dtype=self.dtype,
      name='conv1',
    )(x.astype(self.dtype))
    x = nn.relu(basic.batch_norm(train, self.dtype, 'bn1')(x))
    x = pooling.max_pool_3x3(x)
    basic_block = basic.remat(BasicBlock, self.remat)
    stages = []
    for stage, channels in enumerate(STAGE_CHANNELS, 1):
      for block in range(self.blocks):
        x = basic_block(
          basic.scaled(channels, self.width),
          2 if block == 0 and stage > 1 else 1,
          self.dtype,
          name=f'layer{stage}_{block}',
        )(x, train)
      stages.append(x)
    first, second, third, fourth = stages
    return first, second, third, fourth
