"""MiDaS v2.1: a ResNeXt-101 and a decoder of residual units.

Reference: Ranftl et al., Towards Robust Monocular Depth Estimation, 2020.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import pooling, resizing
from fsnet_jax.models.layers import basic, initializers
from segxal_jax.depth.networks import dpt


class MidasCNN(nn.Module):
  """Normalised images to inverse depth up to scale and shift.

  Attributes:
    depths: blocks of each stage.
    width: channels of the first stage's output; it doubles at each stage.
    groups: of the 3x3 convolutions.
    features: of the decoder.
    dtype: of the computation.
  """

  depths: tuple[int, int, int, int] = (3, 4, 23, 3)
  width: int = 256
  groups: int = 32
  features: int = 256
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: Float[Array, 'b h w 3']) -> Float[Array, 'b h w']:
    """Estimates inverse depth.

    Args:
      images: [b h w 3], normalised by ImageNet's mean and deviation; h and w
        are multiples of 32.

    Returns:
      [b h w] values of at least 0, float32 or wider.
    """
    x = None
    maps = ResNeXt(
      self.depths, self.width, self.groups, self.dtype, name='backbone'
    )(images)
    for level in (4, 3, 2, 1):
      skip = self._conv(self.features, 3, f'reduce_{level}', bias=False)(
        maps[level - 1]
      )
      x = dpt.Fusion(
        self.features,
        output=False,
        rectified=True,
        dtype=self.dtype,
        name=f'fuse_{level}',
      )(x, skip)
    x = self._conv(128, 3, 'conv1')(x)
    x = resizing.resize_bilinear(x, (2 * x.shape[1], 2 * x.shape[2]))
    x = nn.relu(self._conv(32, 3, 'conv2')(x))
    x = self._conv(1, 1, 'conv3')(x)[..., 0]
    return nn.relu(basic.at_least_float32(x))

  def _conv(
    self, features: int, size: int, name: str, bias: bool = True
  ) -> nn.Conv:
    return basic.conv(
      features, size, use_bias=bias, dtype=self.dtype, name=name
    )


class ResNeXt(nn.Module):
  """torchvision's ResNeXt without its classifier; statistics are fixed.

  Reference: Xie et al., Aggregated Residual Transformations, 2017.

  Attributes:
    depths: blocks of each stage.
    width: channels of the first stage's output; inside its blocks as many.
    groups: of the 3x3 convolutions.
    dtype: of the computation.
  """

  depths: tuple[int, int, int, int]
  width: int
  groups: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> list[Array]:
    """Computes the outputs of the four stages, at strides 4 to 32."""
    x = basic.conv(
      64, 7, stride=2, use_bias=False, dtype=self.dtype, name='conv1'
    )(x.astype(self.dtype))
    x = nn.relu(basic.batch_norm(False, self.dtype, 'bn1')(x))
    x = pooling.max_pool_3x3(x)
    maps = []
    for stage, depth in enumerate(self.depths):
      for block in range(depth):
        x = ResNeXtBlock(
          self.width * 2**stage,
          2 if block == 0 and stage > 0 else 1,
          block == 0,
          self.groups,
          self.dtype,
          name=f'layer{stage + 1}_{block}',
        )(x)
      maps.append(x)
    return maps


class ResNeXtBlock(nn.Module):
  """1x1, grouped 3x3 and 1x1 convolutions with norms, and a shortcut.

  Attributes:
    features: output channels, and those inside (32x8d: 256 in stage 1).
    stride: of the 3x3 convolution and of the shortcut.
    first: whether the shortcut has a convolution.
    groups: of the 3x3 convolution.
    dtype: of the computation.
  """

  features: int
  stride: int
  first: bool
  groups: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> Float[Array, 'b h2 w2 k2']:
    """Applies the block."""
    y = nn.relu(self._norm('bn1')(self._conv(1, 1, 'conv1')(x)))
    y = self._grouped(y)
    y = nn.relu(self._norm('bn2')(y))
    y = self._norm('bn3')(self._conv(1, 1, 'conv3')(y))
    if self.first:
      x = self._conv(1, self.stride, 'downsample_conv')(x)
      x = self._norm('downsample_bn')(x)
    return nn.relu(x + y)

  def _norm(self, name: str) -> nn.Module:
    return basic.batch_norm(False, self.dtype, name)

  def _conv(self, size: int, stride: int, name: str) -> nn.Conv:
    return basic.conv(
      self.features,
      size,
      stride=stride,
      use_bias=False,
      dtype=self.dtype,
      name=name,
    )

  def _grouped(self, x: Array) -> Array:
    return nn.Conv(
      self.features,
      (3, 3),
      strides=(self.stride, self.stride),
      padding=((1, 1), (1, 1)),
      feature_group_count=self.groups,
      use_bias=False,
      kernel_init=initializers.he_fan_out(),
      dtype=self.dtype,
      name='conv2',
    )(x)
