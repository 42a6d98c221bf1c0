"""A kernel's gradient, a few rows of the image at a time.

In such a band the gradients that the columns of the kernel meet lie side by
side, few enough to stay in the processor's cache, so that each row of the
kernel is one wide matrix product. Of a narrower kernel, the whole of it is one,
a row of the image at a time.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from fsnet_jax.models.cpu import padding
from fsnet_jax.models.cpu.conv_choice import Geometry
from fsnet_jax.models.sizes import grid_of

# Rows in a band; 2 to 8 are as fast.
_BAND = 4


def pads_of_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> tuple[tuple[int, int], tuple[int, int]]:
  """What makes `g` as large as `x` and what a kernel reaches beyond it.

  Args:
    x: [b h w in] input of a convolution with unit strides.
    kernel: (rows, columns, in, out).
    g: [b h2 w2 out] gradient of its output.
    geometry: its padding and dilation.

  Returns:
    (before, after) for rows and for columns; negative numbers crop.
  """

  def pads(axis: int) -> tuple[int, int]:
    reach = geometry.dilation[axis] * (kernel.shape[axis] - 1)
    low = reach - geometry.pads[axis][0]
    return low, x.shape[axis + 1] + reach - g.shape[axis + 1] - low

  return pads(0), pads(1)


def kernel_gradient_by_rows(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  """As `kernel_gradient`, of one product a row of the image."""
  rows, columns, inputs, outputs = kernel.shape
  height, width = grid_of(x)
  down, across = geometry.dilation
  wide = jnp.promote_types(g.dtype, jnp.float32)
  padded = padding.around(g, pads_of_gradient(x, kernel, g, geometry))

  def add(row: int | Array, total: Array) -> Array:
    near = lax.dynamic_slice_in_dim(padded, row, down * (rows - 1) + 1, 1)
    side = jnp.concatenate(
      [
        near[:, low : low + 1, left : left + width]
        for low in range(down * (rows - 1), -1, -down)
        for left in range(across * (columns - 1), -1, -across)
      ],
      axis=-1,
    )
    return total + jnp.einsum(
      'bhwi,bhwo->io',
      lax.dynamic_slice_in_dim(x, row, 1, 1),
      side,
      preferred_element_type=wide,
    )

  total = jnp.zeros((inputs, rows * columns * outputs), wide)
  total = lax.fori_loop(0, height, add, total)
  total = total.reshape(inputs, rows * columns, outputs).swapaxes(0, 1)
  return total.reshape(kernel.shape).astype(kernel.dtype)


def kernel_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  """The kernel's gradient of a convolution with unit strides.

  Args:
    x: [b h w in] input.
    kernel: (rows, columns, in, out).
    g: [b h2 w2 out] gradient of the output.
    geometry: padding and dilation.

  Returns:
    Of the kernel's shape and type, summed in float32 or wider.
  """
  rows, columns, inputs, outputs = kernel.shape
  height, width = grid_of(x)
  down, across = geometry.dilation
  wide = jnp.promote_types(g.dtype, jnp.float32)
  padded = padding.around(g, pads_of_gradient(x, kernel, g, geometry))

  def add(top: int | Array, length: int, total: Array) -> Array:
    band = lax.dynamic_slice_in_dim(x, top, length, 1)
    reach = length + down * (rows - 1)
    near = lax.dynamic_slice_in_dim(padded, top, reach, 1)
    side = jnp.concatenate(
      [
        lax.slice_in_dim(near, low, low + width, axis=2)
        for low in range(across * (columns - 1), -1, -across)
      ],
      axis=-1,
    )
    parts = [
      jnp.einsum(
        'bhwi,bhwo->io',
        band,
        side[:, low : low + length],
        preferred_element_type=wide,
      )
      for low in range(down * (rows - 1), -1, -down)
    ]
    return total + jnp.stack(parts)

  total = jnp.zeros((rows, inputs, columns * outputs), wide)
  bands, rest = divmod(height, _BAND)
  total = lax.fori_loop(
    0, bands, lambda band, total: add(band * _BAND, _BAND, total), total
  )
  if rest:
    total = add(bands * _BAND, rest, total)
  total = total.reshape(rows, inputs, columns, outputs)
  return total.swapaxes(1, 2).astype(kernel.dtype)
