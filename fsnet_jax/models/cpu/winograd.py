"""3x3 convolutions with 4 products for each output instead of 9.

Winograd's F(2x2, 3x3): from 4x4 cells of the input, 2x2 outputs. What the
convolution sums over is left to 16 matrix products, one for each cell; before
and after them there are only sums. As exact as the plain form in float32
(F(4x4, 3x3) needs 2.25 products, and errs twenty times as much).

Reference: Lavin and Gray, Fast Algorithms for Convolutional Neural Networks,
2016.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import padding
from fsnet_jax.models.cpu.conv_choice import Geometry

# The paper's G: a kernel's three taps at four points.
_KERNEL = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]]) / 2
# The same of rows and of columns: 16 points of 9 taps.
_KERNELS = np.kron(_KERNEL, _KERNEL)


def convolve(
  x: Float[Array, 'b h w k'],
  kernel: Float[Array, '3 3 k k2'],
  geometry: Geometry,
) -> Float[Array, 'b h w k2']:
  """A convolution of unit strides that keeps the size, zeros around it.

  Args:
    x: of any size.
    kernel: (rows, columns, in, out).
    geometry: any dilation; the rest as said.

  Returns:
    What the plain convolution gives, up to rounding; it is the plain one in
    half precision, whose sums would be rounded before they are multiplied.
  """
  if x.dtype.itemsize < 4:
    return lax.conv_general_dilated(
      x,
      kernel,
      geometry.strides,
      geometry.pads,
      rhs_dilation=geometry.dilation,
      dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )
  b, height, width, inputs = x.shape
  outputs, dilation = kernel.shape[3], geometry.dilation
  # As many rows and columns as pairs of outputs at a tap's distance cover.
  pads = [
    (tap, tap + -size % (2 * tap))
    for size, tap in zip((height, width), dilation)
  ]
  rows = jnp.stack(_cells(padding.around(x, pads), 1, dilation[0]))
  # Else each of the 16 works its rows out again.
  rows = lax.optimization_barrier(rows)
  cells = jnp.stack(_cells(rows, 3, dilation[1]), 1)
  grid = cells.shape[3:5]
  points = jnp.asarray(_KERNELS, kernel.dtype) @ kernel.reshape(9, -1)
  points = points.reshape(16, inputs, outputs)
  # One product of 16 compiles in a quarter of the time of 16, which would take
  # nine tenths of its.
  products = jnp.einsum('pti,pio->pto', cells.reshape(16, -1, inputs), points)
  products = products.reshape(4, 4, b, *grid, outputs)
  by_row = jnp.stack(_outputs(list(products)))
  y = jnp.stack(_outputs([by_row[:, column] for column in range(4)]))
  # [column, row, b, ...] of each pair, a tap apart, among the rest.
  down, across = dilation
  blocks = (grid[0] // down, down, grid[1] // across, across)
  y = y.reshape(2, 2, b, *blocks, outputs).transpose(2, 3, 1, 4, 5, 0, 6, 7)
  y = y.reshape(b, 2 * grid[0], 2 * grid[1], outputs)
  return lax.slice(y, (0, 0, 0, 0), (b, height, width, outputs))


def _cells(x: Array, axis: int, tap: int) -> list[Array]:
  """The paper's B: of four values, `tap` apart, the four that meet kernels."""
  count = (x.shape[axis] - 2 * tap) // (2 * tap)
  first, second, third, fourth = [
    _every_other(x, axis, tap, place * tap, count) for place in range(4)
  ]
  return [first - third, second + third, third - second, second - fourth]


def _every_other(
  x: Array, axis: int, tap: int, start: int, count: int
) -> Array:
  """Blocks of `tap` rows (or columns), every second one, `count` of them."""
  if tap == 1:
    stop = start + 2 * count - 1
    return lax.slice_in_dim(x, start, stop, 2, axis)
  length = 2 * count * tap
  x = padding.along(x, axis, -start, start + length - x.shape[axis])
  shape = x.shape
  x = x.reshape(*shape[:axis], count, 2 * tap, *shape[axis + 1 :])
  x = lax.slice_in_dim(x, 0, tap, axis=axis + 1)
  return x.reshape(*shape[:axis], count * tap, *shape[axis + 1 :])


def _outputs(products: Sequence[Array]) -> tuple[Array, Array]:
  """The paper's A: two outputs of four products."""
  first, second, third, fourth = products
  return first + second + third, second - third - fourth
