"""Heads that turn features read at four depths into one map.

Reference: Ranftl et al., Vision Transformers for Dense Prediction, 2021.
"""

from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.sizes import grid_of
from segxal_jax.depth.networks import resampling, vit

# Each tap's grid against the grid of patches.
_FACTORS = (4, 2, 1, 0.5)


class DPTHead(nn.Module):
  """Reassembles four taps as a pyramid and fuses it from the deepest up.

  Attributes:
    channels: of the four maps of the pyramid, finest first.
    features: of the fused maps.
    readout: whether the class token is mixed into every patch.
    stages: the first taps that are maps of a convolutional network at their
      own size already, and pass unchanged.
    unit_bias: whether the convolutions of the residual units have biases.
    projection: whether a convolution with a ReLU precedes the output.
    follow_skip: whether fusion resizes to the size of the next map of the
      pyramid (Depth Anything); it otherwise doubles, and the next map is
      resized where its size differs, which is only on odd grids.
    patch: if given, the output has this many pixels a patch; it otherwise
      has twice the size of the last fusion, which is 16 pixels a patch.
    max_value: if given, the output is this times a sigmoid, not a ReLU.
    dtype: of the computation.
  """

  channels: tuple[int, int, int, int]
  features: int
  readout: bool = False
  stages: int = 0
  unit_bias: bool = True
  projection: bool = False
  follow_skip: bool = False
  patch: int | None = None
  max_value: float | None = None
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, taps: Sequence[vit.Tap]) -> Float[Array, 'b h w']:
    """Computes the map.

    Args:
      taps: four, shallowest first.

    Returns:
      [b h w] values of at least 0, in the unit that the network was trained
      for, in float32 or wider.
    """
    grid = taps[-1].grid.shape[1:3]
    maps = []
    for level, tap in enumerate(taps, 1):
      x = tap.grid
      if level > self.stages:
        x = self._reassembled(level, tap)
      maps.append(
        self._conv(self.features, 3, f'reduce_{level}', bias=False)(x)
      )
    x = None
    for level in (4, 3, 2, 1):
      size: tuple[int, int] | None = None
      if self.follow_skip and level > 1:
        size = grid_of(maps[level - 2])
      x = Fusion(
        self.features, self.unit_bias, dtype=self.dtype, name=f'fuse_{level}'
      )(x, maps[level - 1], size)
    if self.projection:
      x = nn.relu(self._conv(self.features, 3, 'projection')(x))
    x = self._conv(self.features // 2, 3, 'conv1')(x)
    size = (2 * x.shape[1], 2 * x.shape[2])
    if self.patch is not None:
      size = (self.patch * grid[0], self.patch * grid[1])
    x = resampling.resize(x, size, 'bilinear_aligned')
    x = nn.relu(self._conv(32, 3, 'conv2')(x))
    x = basic.at_least_float32(self._conv(1, 1, 'conv3')(x)[..., 0])
    if self.max_value is None:
      return nn.relu(x)
    return self.max_value * nn.sigmoid(x)

  def _conv(
    self, features: int, size: int, name: str, bias: bool = True
  ) -> nn.Conv:
    return basic.conv(
      features, size, use_bias=bias, dtype=self.dtype, name=name
    )

  def _reassembled(self, level: int, tap: vit.Tap) -> Array:
    """The tap as a map of its level's channels and size."""
    x = tap.grid
    if self.readout:
      assert tap.token is not None  # Every block of a transformer has one.
      token = jnp.broadcast_to(tap.token[:, None, None, :], x.shape)
      x = jnp.concatenate([x, token], axis=-1)
      x = vit.dense(tap.grid.shape[-1], self.dtype, f'readout_{level}')(x)
      x = nn.gelu(x, approximate=False)
    channels, factor = self.channels[level - 1], _FACTORS[level - 1]
    x = self._conv(channels, 1, f'project_{level}')(x)
    name = f'resize_{level}'
    if factor > 1:
      return Unfold(channels, int(factor), self.dtype, name=name)(x)
    if factor == 1:
      return x
    return basic.conv(channels, 3, stride=2, dtype=self.dtype, name=name)(x)


class Unfold(nn.Module):
  """A transposed convolution whose kernel is as large as its stride.

  Each cell becomes factor x factor cells by itself: a matrix product.

  Attributes:
    features: output channels.
    factor: rows and columns of the kernel.
    dtype: of the computation.
  """

  features: int
  factor: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> Float[Array, 'b h2 w2 k2']:
    """Upsamples [b h w k] by the factor."""
    b, h, w, k = x.shape
    f = self.factor
    shape = (f, f, k, self.features)
    kernel = self.param('kernel_up', initializers.he_fan_in(), shape)
    bias = self.param('bias', initializers.zeros, (self.features,))
    x = jnp.einsum('bhwk,ijko->bhiwjo', x, kernel.astype(self.dtype))
    x = x.reshape(b, f * h, f * w, self.features)
    return x + bias.astype(self.dtype)


class Fusion(nn.Module):
  """Adds a level of the pyramid to the coarser ones and upsamples.

  Attributes:
    features: channels.
    unit_bias: whether the residual units' convolutions have biases.
    output: whether a 1x1 convolution follows.
    rectified: whether the residual units add to the ReLU of their input
      (MiDaS v2.1, whose ReLU overwrites it).
    dtype: of the computation.
  """

  features: int
  unit_bias: bool = True
  output: bool = True
  rectified: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b h w k'] | None,
    skip: Float[Array, 'b h1 w1 k'],
    size: tuple[int, int] | None = None,
  ) -> Float[Array, 'b h2 w2 k']:
    """Fuses.

    Args:
      x: the fused coarser levels; None at the deepest level.
      skip: this level.
      size: rows and columns of the result; the default doubles.

    Returns:
      [b h2 w2 k].
    """
    if x is None:
      x = skip
    else:
      skip = resizing.resize_bilinear(skip, grid_of(x))
      x = x + self._unit('unit1')(skip)
    x = self._unit('unit2')(x)
    size = size or (2 * x.shape[1], 2 * x.shape[2])
    x = resampling.resize(x, size, 'bilinear_aligned')
    if not self.output:
      return x
    return basic.conv(self.features, 1, dtype=self.dtype, name='out')(x)

  def _unit(self, name: str) -> 'ResidualUnit':
    return ResidualUnit(
      self.features, self.unit_bias, self.rectified, self.dtype, name=name
    )


class ResidualUnit(nn.Module):
  """Two 3x3 convolutions, each after a ReLU, added to the input.

  Attributes:
    features: channels.
    use_bias: whether the convolutions have biases.
    rectified: whether they are added to the ReLU of the input instead.
    dtype: of the computation.
  """

  features: int
  use_bias: bool = True
  rectified: bool = False
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> Float[Array, 'b h w k']:
    """Applies the unit to [b h w k] features."""
    y = nn.relu(x)
    if self.rectified:
      x = y
    for name in ('conv1', 'conv2'):
      y = basic.conv(
        self.features,
        3,
        use_bias=self.use_bias,
        dtype=self.dtype,
        name=name,
      )(y if name == 'conv1' else nn.relu(y))
    return x + y


class LinearHead(nn.Module):
  """DINOv2's linear depth head: a mixture of fixed depths.

  With the patches' features and class tokens of all taps at four times their
  grid, a 1x1 convolution gives a score s_i for each of `bins` depths d_i,
  evenly spaced from `min_depth` to `max_depth`; the depth is
  sum_i p_i d_i with p_i = (relu(s_i) + 0.1) / sum_j (relu(s_j) + 0.1).

  Attributes:
    min_depth: first depth, in metres.
    max_depth: last depth, in metres.
    bins: number of depths.
    dtype: of the computation.
  """

  min_depth: float = 0.001
  max_depth: float = 80.0
  bins: int = 256
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, taps: Sequence[vit.Tap]) -> Float[Array, 'b h w']:
    """Computes [b h w] depth in metres at four times the grid."""
    maps = []
    for tap in taps:
      assert tap.token is not None  # Every block of a transformer has one.
      token = jnp.broadcast_to(tap.token[:, None, None, :], tap.grid.shape)
      maps.append(jnp.concatenate([tap.grid, token], axis=-1))
    x = jnp.concatenate(maps, axis=-1)
    # The convolution is 1x1, so it may precede the resizing, which leaves a
    # sixteenth of its work; both are linear and rows of weights sum to one.
    x = basic.conv(self.bins, 1, dtype=self.dtype, name='conv_depth')(x)
    x = resampling.resize(x, (4 * x.shape[1], 4 * x.shape[2]), 'bilinear')
    x = nn.relu(basic.at_least_float32(x)) + 0.1
    depths = jnp.linspace(
      self.min_depth, self.max_depth, self.bins, dtype=x.dtype
    )
    return x @ depths / x.sum(-1)
