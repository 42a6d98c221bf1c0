"""The transposed convolution of U-Net, as a matrix product on a CPU."""

import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import initializers
from fsnet_jax.models.sizes import grid_of

# Where each tap of a line leads: 0 the even output of an input, 1 the odd one;
# and which input it is of: the same (0) or the next one (1).
_TAPS = ((1, 1), (0, 0), (1, 0))
# [input of a window, tap, output]: 1 where the tap leads from one to the other.
_REACH = np.array(
  [[[0, 0], [1, 0], [0, 1]], [[0, 1], [0, 0], [0, 0]]], np.float32
)
# On fewer the zeros in the kernel cost more than placing.
_MANY_CELLS = 192


class UpConv(nn.Module):
  """A 3x3 transposed convolution that doubles the size.

  PyTorch's `ConvTranspose2d(kernel_size=3, stride=2, padding=1,
  output_padding=1)`. The kernel is stored (rows, columns, out, in), unlike
  that of a convolution: PyTorch's (in, out, rows, columns) becomes this by
  the same reversal of axes as a convolution's, and nothing is flipped.

  Attributes:
    features: output channels.
    dtype: of the computation; parameters are float32.
  """

  features: int
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, x: Float[Array, 'b h w k']) -> Float[Array, 'b h2 w2 k2']:
    """Doubles rows and columns.

    Args:
      x: [b h w k] features.

    Returns:
      [b 2h 2w k2].
    """
    # PyTorch's defaults: uniform, by the fan of out channels x area.
    init = initializers.uniform_fan_in(9 * self.features)
    shape = (3, 3, self.features, x.shape[-1])
    kernel = self.param('kernel', init, shape, jnp.float32)
    bias = self.param('bias', init, (self.features,), jnp.float32)
    x, kernel, bias = (jnp.asarray(a, self.dtype) for a in (x, kernel, bias))
    form = _by_taps if conv_forms.rewriting_transposed() else _plain
    return form(x, kernel) + bias


def _plain(x: Array, kernel: Array) -> Array:
  """A convolution of the input with zeros between its cells."""
  return lax.conv_general_dilated(
    x,
    kernel[::-1, ::-1].swapaxes(2, 3),
    (1, 1),
    ((1, 2), (1, 2)),
    lhs_dilation=(2, 2),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )


@jax.custom_vjp
def _by_taps(x: Array, kernel: Array) -> Array:
  """The same, of products that meet no zero between the cells."""
  if conv_forms.rewriting() and math.prod(grid_of(x)) >= _MANY_CELLS:
    return _four_outputs_at_once(x, kernel)
  return _placed_products(x, kernel)


def _four_outputs_at_once(x: Array, kernel: Array) -> Array:
  """A convolution whose channels are the four outputs of an input.

  A window of 2x2 inputs sees all that reaches them; the kernel has zeros for
  what does not, 16 products where 9 are needed, but nothing is placed.
  """
  b, h, w, inputs = x.shape
  features = kernel.shape[2]
  wide = jnp.einsum('rtoi,arp,btq->abipqo', kernel, _REACH, _REACH)
  y = lax.conv_general_dilated(
    x,
    wide.reshape(2, 2, inputs, 4 * features).astype(x.dtype),
    (1, 1),
    ((0, 1), (0, 1)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  y = y.reshape(b, h, w, 2, 2, features).swapaxes(2, 3)
  return y.reshape(b, 2 * h, 2 * w, features)


def _placed_products(x: Array, kernel: Array) -> Array:
  """One matrix product for all nine taps, whose results are then placed.

  Input i reaches output 2i - 1 + tap: tap 1 makes the even rows, tap 2 the
  odd ones, to which the next input adds by tap 0.
  """
  wide = jnp.promote_types(x.dtype, jnp.float32)
  taps = jnp.einsum('bhwi,rcoi->rcbhwo', x, kernel, preferred_element_type=wide)
  rows = _interleave(taps, 3)
  y = _interleave(rows, 3)
  return y.astype(x.dtype)


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
  return _by_taps(x, kernel), (x, kernel)


def _backward(saved: tuple[Array, Array], g: Array) -> tuple[Array, Array]:
  """A strided convolution for the input, a product a tap for the kernel."""
  x, kernel = saved
  to_input = lax.conv_general_dilated(
    g,
    kernel,
    (2, 2),
    ((1, 0), (1, 0)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  b, h, w, _ = x.shape
  wide = jnp.promote_types(g.dtype, jnp.float32)
  outputs = g.reshape(b, h, 2, w, 2, -1)
  # An input's right and lower neighbours reach its outputs, too.
  inputs = jnp.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
  products = [
    jnp.einsum(
      'bhwo,bhwi->oi',
      outputs[:, :, row, :, column],
      inputs[:, down : down + h, across : across + w],
      preferred_element_type=wide,
    )
    for row, down in _TAPS
    for column, across in _TAPS
  ]
  to_kernel = jnp.stack(products).reshape(kernel.shape)
  return to_input, to_kernel.astype(kernel.dtype)


_by_taps.defvjp(_forward, _backward)


def _interleave(taps: Array, axis: int) -> Array:
  """Joins three taps (the first axis) along one axis, which doubles.

  Args:
    taps: [3, ..., n, ...].
    axis: of `taps`; n is its length. The first axis goes away.
  """
  first, even, last = taps[0], taps[1], taps[2]
  axis -= 1
  after = lax.slice_in_dim(first, 1, None, axis=axis)
  edges = [(0, 0, 0)] * first.ndim
  edges[axis] = (0, 1, 0)
  odd = last + lax.pad(after, jnp.zeros((), first.dtype), edges)
  joined = jnp.stack([even, odd], axis + 1)
  shape = [*even.shape]
  shape[axis] *= 2
  return joined.reshape(shape)
