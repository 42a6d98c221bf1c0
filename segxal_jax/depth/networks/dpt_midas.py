"""MiDaS 3.0: DPT-Large on a ViT, DPT-Hybrid on a ResNet and a ViT.

Reference: Ranftl et al., Vision Transformers for Dense Prediction, 2021.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.layers import initializers
from segxal_jax.depth.networks import dpt, vit
from segxal_jax.depth.networks.network import DepthNetwork


def dpt_large(*, eps: float = 1e-6, dtype: Any = jnp.float32) -> DepthNetwork:
  """DPT-Large.

  Args:
    eps: of the layer norms: 1e-6 in the authors' code, 1e-12 in
      `transformers`.
    dtype: of the computation.

  Returns:
    The network: images [b h w 3] of multiples of 32 in -1..1 to [b h w]
    inverse depth up to scale and shift.
  """
  return DepthNetwork(
    backbone=vit.ViT(
      width=1024,
      depth=24,
      heads=16,
      taps=(5, 11, 17, 23),
      patch=16,
      grid=24,
      positions='bilinear',
      scaled=False,
      eps=eps,
      dtype=dtype,
    ),
    head=dpt.DPTHead(
      channels=(256, 512, 1024, 1024), features=256, readout=True, dtype=dtype
    ),
  )


def dpt_hybrid(*, eps: float = 1e-6, dtype: Any = jnp.float32) -> DepthNetwork:
  """DPT-Hybrid.

  Args:
    eps: of the layer norms, as for `dpt_large`.
    dtype: of the computation.

  Returns:
    The network: images [b h w 3] of multiples of 32 in -1..1 to [b h w]
    inverse depth up to scale and shift.
  """
  return DepthNetwork(
    backbone=HybridBackbone(
      vit=vit.ViT(
        width=768,
        depth=12,
        heads=12,
        taps=(8, 11),
        patch=1,
        grid=24,
        positions='bilinear',
        scaled=False,
        eps=eps,
        dtype=dtype,
      ),
      dtype=dtype,
    ),
    head=dpt.DPTHead(
      channels=(256, 512, 768, 768),
      features=256,
      readout=True,
      stages=2,
      dtype=dtype,
    ),
  )


class HybridBackbone(nn.Module):
  """A ResNet of three stages, whose last feeds a ViT.

  Attributes:
    vit: with `patch` 1 and two taps.
    stem: channels after the first convolution.
    stages: output channels of each stage.
    depths: blocks of each stage.
    groups: of the group norms.
    dtype: of the computation; norms are float32 or wider.
  """

  vit: vit.ViT
  stem: int = 64
  stages: tuple[int, int, int] = (256, 512, 1024)
  depths: tuple[int, int, int] = (3, 4, 9)
  groups: int = 32
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> list[vit.Tap]:
    """Reads the first two stages, and the transformer's taps."""
    x = StandardisedConv(self.stem, 7, 2, self.dtype, name='stem_conv')(
      x.astype(self.dtype)
    )
    x = nn.relu(_group_norm(self.groups, 'stem_norm')(x)).astype(self.dtype)
    x = nn.max_pool(x, (3, 3), (2, 2), 'SAME')
    taps = []
    for stage, (channels, depth) in enumerate(zip(self.stages, self.depths)):
      for block in range(depth):
        x = Bottleneck(
          channels,
          2 if block == 0 and stage > 0 else 1,
          block == 0,
          self.groups,
          self.dtype,
          name=f'stage{stage}_{block}',
        )(x)
      taps.append(vit.Tap(x, None))
    return taps[:2] + self.vit(x)


class Bottleneck(nn.Module):
  """BiT's residual block of three convolutions, norms after them.

  Attributes:
    features: output channels.
    stride: of the 3x3 convolution and of the shortcut.
    first: whether the shortcut has a convolution.
    groups: of the group norms.
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

    def convolve(
      x: Array, channels: int, size: int, stride: int, names: tuple[str, str]
    ) -> Array:
      conv = StandardisedConv(channels, size, stride, self.dtype, name=names[0])
      norm = _group_norm(self.groups, names[1])
      return norm(conv(x)).astype(self.dtype)

    inner = self.features // 4
    y = nn.relu(convolve(x, inner, 1, 1, ('conv1', 'norm1')))
    y = nn.relu(convolve(y, inner, 3, self.stride, ('conv2', 'norm2')))
    y = convolve(y, self.features, 1, 1, ('conv3', 'norm3'))
    if self.first:
      names = ('downsample_conv', 'downsample_norm')
      x = convolve(x, self.features, 1, self.stride, names)
    return nn.relu(x + y)


class StandardisedConv(nn.Module):
  """A convolution whose kernel has mean 0 and variance 1 for each output.

  Attributes:
    features: output channels.
    size: rows and columns of the kernel.
    stride: of both axes.
    dtype: of the computation; the kernel is standardised in float32.
  """

  features: int
  size: int
  stride: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> Float[Array, 'b h2 w2 k2']:
    """Convolves, with zeros around as TensorFlow's SAME puts them."""
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', initializers.he_fan_out(), shape)
    mean = kernel.mean((0, 1, 2))
    kernel = (kernel - mean) * jax.lax.rsqrt(kernel.var((0, 1, 2)) + 1e-8)
    return jax.lax.conv_general_dilated(
      x,
      kernel.astype(self.dtype),
      (self.stride, self.stride),
      'SAME',
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )


def _group_norm(groups: int, name: str) -> nn.GroupNorm:
  return nn.GroupNorm(
    num_groups=groups,
    epsilon=1e-5,
    use_fast_variance=False,
    scale_init=initializers.ones,
    bias_init=initializers.zeros,
    name=name,
  )
