"""SPADE's generator: from a map of classes to a picture.

Reference: Park et al., Semantic Image Synthesis with Spatially-Adaptive
Normalization, 2019, at the sizes that SynthCP gives it.
"""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from common_lib.class_table import CITYSCAPES
from fsnet_jax.models.baselines.spectral import SpectralConv, xavier
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import basic, class_maps, initializers
from fsnet_jax.models.sizes import grid_of

# Output channels of the blocks, from stride 64 to 1.
WIDTHS = (1024, 1024, 1024, 512, 256, 128, 64)
_HIDDEN = 128
_SLOPE = 0.2


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


class ConvParameters(nn.Module):
  """Kernel and bias of a 3x3 convolution, for the caller to apply.

  Attributes:
    features: output channels.
    dtype: of the computation; parameters are float32.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, inputs: int) -> tuple[Array, Array]:
    """(3, 3, inputs, features) and (features,), in the type `dtype`."""
    shape = (3, 3, inputs, self.features)
    kernel = self.param('kernel', xavier(0.02), shape, jnp.float32)
    zero = initializers.zeros
    bias = self.param('bias', zero, (self.features,), jnp.float32)
    return kernel.astype(self.dtype), bias.astype(self.dtype)


class Spade(nn.Module):
  """Normalisation whose scale and shift are read off the map of classes.

  x' = norm(x) (1 + gamma) + beta, where norm is batch norm without
  parameters, and gamma and beta are 3x3 convolutions of one hidden layer
  over the map, resized to x.

  Attributes:
    hidden: channels of that layer.
    num_classes: of the map.
    dtype: of the computation.
  """

  hidden: int
  num_classes: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b h w k'],
    labels: Integer[Array, 'b h2 w2'],
    train: bool,
  ) -> Float[Array, 'b h w k']:
    """Normalises.

    Args:
      x: [b h w k] features.
      labels: the map, at image size.
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
    small = class_maps.resize_floor(labels, grid_of(x))

    def parameters(inputs: int, features: int, name: str):
      return ConvParameters(features, self.dtype, name=name)(inputs)

    kernel, bias = parameters(self.num_classes, self.hidden, 'shared')
    hidden = nn.relu(class_maps.convolve(small, kernel) + bias)
    # As one: a narrow convolution costs a CPU as much as one twice as wide.
    both = [
      parameters(self.hidden, x.shape[-1], name) for name in ('gamma', 'beta')
    ]
    kernel, bias = (jnp.concatenate(pair, -1) for pair in zip(*both))
    y = conv_forms.convolve_3x3(hidden, kernel) + bias
    gamma, beta = jnp.split(y, 2, -1)
    return (normalized * (1 + gamma) + beta).astype(self.dtype)


class SpadeBlock(nn.Module):
  """Twice: SPADE, leaky ReLU, 3x3 convolution; and a shortcut.

  Where input and output widths differ, the shortcut is SPADE and a 1x1
  convolution without bias, else the input itself.

  Attributes:
    features: output channels.
    hidden: of `Spade`.
    num_classes: of the map.
    dtype: of the computation.
  """

  features: int
  hidden: int
  num_classes: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self,
    x: Float[Array, 'b h w k'],
    labels: Integer[Array, 'b h2 w2'],
    train: bool,
  ) -> Float[Array, 'b h w k2']:
    """Applies the block; see `Spade`."""
    inputs = x.shape[-1]
    middle = min(inputs, self.features)

    def norm(x: Array, name: str) -> Array:
      spade = Spade(self.hidden, self.num_classes, self.dtype, name=name)
      return spade(x, labels, train)

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
    num_classes: of the map.
    width: multiplier of the channels.
    dtype: of the computation; parameters and pictures are float32.
  """

  num_classes: int = CITYSCAPES.num_classes
  width: float = 1.0
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, labels: Integer[Array, 'b h w'], train: bool = False
  ) -> Float[Array, 'b h w 3']:
    """Draws.

    Args:
      labels: the map; anything outside 0 .. num_classes - 1 is void.
      train: whether batch statistics are of the batch and the spectral norms
        do a step.

    Returns:
      [b h w 3] RGB in [-1, 1].
    """
    height, width = grid_of(labels)
    times = doublings((height, width))
    widths = [basic.scaled(n, self.width) for n in WIDTHS[-times - 1 :]]
    hidden = basic.scaled(_HIDDEN, self.width)
    first = ConvParameters(widths[0], self.dtype, name='first')
    kernel, bias = first(self.num_classes)
    coarse = (height >> times, width >> times)
    small = class_maps.resize_floor(labels, coarse)
    x = class_maps.convolve(small, kernel) + bias
    for number, features in enumerate(widths):
      if number:
        x = x.repeat(2, axis=1).repeat(2, axis=2)
      name = f'block{number}'
      block = SpadeBlock(
        features, hidden, self.num_classes, self.dtype, name=name
      )
      x = block(x, labels, train)
    x = SpectralConv(3, normalized=False, dtype=self.dtype, name='last')(
      nn.leaky_relu(x, _SLOPE)
    )
    return jnp.tanh(basic.at_least_float32(x))


def to_pixels(pictures: Float[Array, 'b h w 3']) -> Float[Array, 'b h w 3']:
  """RGB of 0..255 in whole steps, as an image file would hold it.

  Args:
    pictures: in [-1, 1].
  """
  return jnp.round((jnp.clip(pictures, -1, 1) + 1) * 127.5)
