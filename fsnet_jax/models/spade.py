"""SPADE's generator: from a map of classes to a picture.

Reference: Park et al., Semantic Image Synthesis with Spatially-Adaptive
Normalization, 2019, at the sizes that SynthCP gives it.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from fsnet_jax.models import layers
from fsnet_jax.models.spectral import SpectralConv

# Output channels of the blocks, from stride 64 to 1.
WIDTHS = (1024, 1024, 1024, 512, 256, 128, 64)
_HIDDEN = 128
_SLOPE = 0.2


def one_hot(
  labels: Integer[Array, 'b h w'], num_classes: int
) -> Float[Array, 'b h w c']:
  """Classes as planes; all zero where the label is void.

  Args:
    labels: trainIds; anything outside 0 .. c - 1 is void.
    num_classes: c.
  """
  classes = jnp.arange(num_classes)
  return (labels[..., None] == classes).astype(jnp.float32)


def resize_floor(
  x: Float[Array, 'b h w k'], size: tuple[int, int]
) -> Float[Array, 'b h2 w2 k']:
  """Nearest neighbour by PyTorch's rule: output i takes floor(i * n / m)."""
  for axis, length in ((1, size[0]), (2, size[1])):
    have = x.shape[axis]
    if have != length:
      x = jnp.take(x, jnp.arange(length) * have // length, axis=axis)
  return x


def doublings(image_size: tuple[int, int]) -> int:
  """Times that the generator doubles its grid: six, or what the size allows.

  Args:
    image_size: (height, width) in pixels.
  """
  times = 0
  while times < len(WIDTHS) - 1 and not any(
    n % (2 << times) for n in image_size
  ):
    times += 1
  return times


class Spade(nn.Module):
  """Normalisation whose scale and shift are read off the map of classes.

  x' = norm(x) (1 + gamma) + beta, where norm is batch norm without
  parameters, and gamma and beta are 3x3 convolutions of one hidden layer
  over the map, resized to x.

  Attributes:
    hidden: channels of that layer.
    dtype: of the computation.
  """

  hidden: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b h w k'],
    planes: Float[Array, 'b h2 w2 c'],
    train: bool,
  ) -> Float[Array, 'b h w k']:
    """Normalises.

    Args:
      x: [b h w k] features.
      planes: of `one_hot`, at image size.
      train: whether batch statistics are of the batch.

    Returns:
      The same shape.
    """
    normalized = nn.BatchNorm(
      use_running_average=not train,
      momentum=0.9,
      epsilon=1e-5,
      use_bias=False,
      use_scale=False,
      dtype=jnp.promote_types(x.dtype, jnp.float32),
      name='norm',
    )(x)
    small = resize_floor(planes, x.shape[1:3])

    def plain(features: int, name: str) -> SpectralConv:
      return SpectralConv(
        features, normalized=False, dtype=self.dtype, name=name
      )

    hidden = nn.relu(plain(self.hidden, 'shared')(small))
    gamma = plain(x.shape[-1], 'gamma')(hidden)
    beta = plain(x.shape[-1], 'beta')(hidden)
    return (normalized * (1 + gamma) + beta).astype(self.dtype)


class SpadeBlock(nn.Module):
  """Twice: SPADE, leaky ReLU, 3x3 convolution; and a shortcut.

  Where input and output widths differ, the shortcut is SPADE and a 1x1
  convolution without bias, else the input itself.

  Attributes:
    features: output channels.
    hidden: of `Spade`.
    dtype: of the computation.
  """

  features: int
  hidden: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b h w k'],
    planes: Float[Array, 'b h2 w2 c'],
    train: bool,
  ) -> Float[Array, 'b h w k2']:
    """Applies the block; see `Spade`."""
    inputs = x.shape[-1]
    middle = min(inputs, self.features)

    def norm(x: Array, name: str) -> Array:
      return Spade(self.hidden, self.dtype, name=name)(x, planes, train)

    y = nn.leaky_relu(norm(x, 'norm1'), _SLOPE)
    y = SpectralConv(middle, dtype=self.dtype, name='conv1')(y, train)
    y = nn.leaky_relu(norm(y, 'norm2'), _SLOPE)
    y = SpectralConv(self.features, dtype=self.dtype, name='conv2')(y, train)
    if inputs != self.features:
      x = SpectralConv(
        self.features,
        1,
        padding=0,
        use_bias=False,
        dtype=self.dtype,
        name='shortcut',
      )(norm(x, 'norm_shortcut'), train)
    return x + y


class SpadeGenerator(nn.Module):
  """Pictures from maps of classes, without noise or instance map.

  The map, at the size of the smallest grid, goes through a convolution; then
  come blocks with a doubling of the grid before each but the first. The
  published network doubles six times, from 4x8 to 256x512; an image whose
  size does not halve so often has fewer, and leaves out the first blocks.

  Attributes:
    width: multiplier of the channels.
    dtype: of the computation; parameters and pictures are float32.
  """

  width: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, planes: Float[Array, 'b h w c'], train: bool = False
  ) -> Float[Array, 'b h w 3']:
    """Draws.

    Args:
      planes: of `one_hot`.
      train: whether batch statistics are of the batch and the spectral norms
        do a step.

    Returns:
      [b h w 3] RGB in [-1, 1].
    """
    times = doublings(planes.shape[1:3])
    widths = [layers.scaled(n, self.width) for n in WIDTHS[-times - 1 :]]
    hidden = layers.scaled(_HIDDEN, self.width)
    grid = tuple(n >> times for n in planes.shape[1:3])
    x = resize_floor(planes, grid)
    x = SpectralConv(
      widths[0], normalized=False, dtype=self.dtype, name='first'
    )(x)
    for number, features in enumerate(widths):
      if number:
        x = x.repeat(2, axis=1).repeat(2, axis=2)
      block = SpadeBlock(features, hidden, self.dtype, name=f'block{number}')
      x = block(x, planes, train)
    x = SpectralConv(3, normalized=False, dtype=self.dtype, name='last')(
      nn.leaky_relu(x, _SLOPE)
    )
    return jnp.tanh(layers.at_least_float32(x))


def to_pixels(pictures: Float[Array, 'b h w 3']) -> Float[Array, 'b h w 3']:
  """RGB of 0..255 in whole steps, as an image file would hold it.

  Args:
    pictures: in [-1, 1].
  """
  return jnp.round((jnp.clip(pictures, -1, 1) + 1) * 127.5)
