"""Convolutions with spectral normalisation, for generator and discriminator."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import initializers

# PyTorch's, added to a norm before it divides.
_EPSILON = 1e-12
#: Collection of the power iteration's vectors: state, not parameters.
COLLECTION = 'spectral'


def xavier(gain: float) -> initializers.Initializer:
  """Normal, std = gain * sqrt(2 / (fan_in + fan_out)); Glorot and Bengio.

  Args:
    gain: 0.02 in SPADE's networks.
  """

  def std(shape: tuple[int, ...]) -> float:
    area = math.prod(shape[:-2])
    return gain * math.sqrt(2.0 / (area * (shape[-2] + shape[-1])))

  return initializers.Initializer('normal', std)


class SpectralConv(nn.Module):
  """A convolution whose kernel is divided by its largest singular value.

  The kernel is taken as a matrix, outputs by inputs times taps. One step of
  power iteration a training pass follows its singular vectors `u` and `v`,
  which live in the collection 'spectral' and get no gradient; outside
  training they stay. Reference: Miyato et al., Spectral Normalization, 2018.

  Attributes:
    features: output channels.
    size: rows and columns of the kernel.
    stride: of both axes.
    padding: zeros added on each side.
    use_bias: whether to add a bias, which is not normalised.
    normalized: False leaves the kernel as it is: a plain convolution.
    dtype: of the computation; parameters and vectors are float32.
  """

  features: int
  size: int = 3
  stride: int = 1
  padding: int = 1
  use_bias: bool = True
  normalized: bool = True
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(
    self, x: Float[Array, 'b h w k'], train: bool = False
  ) -> Float[Array, 'b h2 w2 k2']:
    """Convolves.

    Args:
      x: [b h w k] features.
      train: whether to do a step of power iteration.

    Returns:
      [b h2 w2 k2].
    """
    shape = (self.size, self.size, x.shape[-1], self.features)
    kernel = self.param('kernel', xavier(0.02), shape, jnp.float32)
    if self.normalized:
      kernel = kernel / self._sigma(kernel, train)
    y = conv_forms.conv_general_dilated(
      x.astype(self.dtype),
      kernel.astype(self.dtype),
      (self.stride, self.stride),
      ((self.padding, self.padding), (self.padding, self.padding)),
      rhs_dilation=(1, 1),
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
    if not self.use_bias:
      return y
    zero = initializers.zeros
    bias = self.param('bias', zero, (self.features,), jnp.float32)
    return y + bias.astype(self.dtype)

  def _sigma(self, kernel: Array, train: bool) -> Array:
    """The largest singular value, as the stored vectors see it."""
    matrix = kernel.reshape(-1, self.features).T
    draw, rows, columns = initializers.normal(1.0), *matrix.shape
    key = self.make_rng('params') if self.is_initializing() else None
    u = self.variable(COLLECTION, 'u', draw, key, (rows,), jnp.float32)
    v = self.variable(COLLECTION, 'v', draw, key, (columns,), jnp.float32)
    fixed = jax.lax.stop_gradient(matrix)
    if train and not self.is_initializing():
      v.value = _unit(fixed.T @ _unit(u.value))
      u.value = _unit(fixed @ v.value)
    return _unit(u.value) @ (matrix @ _unit(v.value))


def _unit(vector: Array) -> Array:
  return vector / jnp.maximum(jnp.linalg.norm(vector), _EPSILON)
