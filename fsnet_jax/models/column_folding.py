"""Convolutions of few channels, with neighbouring columns as channels.

XLA's CPU back end computes all output channels of a pixel at a time. With 8 of
them most of a vector register stays empty. Two or four neighbouring columns,
taken as one with two or four times the channels, fill it: in memory, channels
last, that is the same array. The kernel grows by zeros, so there is more to
multiply, in less time.

A zero times infinity is not a number: where an input holds infinities or NaN,
up to `count` columns on each side may become NaN too.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

# Most channels, in or out, for which folding so many columns measured faster.
_MOST = {4: 8, 2: 16}


def columns_to_fold(
  inputs: int, outputs: int, window: tuple[int, int], width: int
) -> int:
  """How many columns to take as one.

  Args:
    inputs: channels.
    outputs: channels.
    window: (rows, columns) of the kernel.
    width: columns of the input.

  Returns:
    4, 2, or 1: leave it as it is.
  """
  if tuple(window) != (3, 3):
    return 1
  for count, most in _MOST.items():
    if max(inputs, outputs) <= most and width % count == 0:
      return count
  return 1


def folded(
  x: Float[Array, 'b h w k'],
  kernel: Float[Array, '3 3 k k2'],
  count: int,
) -> Float[Array, 'b h w k2']:
  """A 3x3 convolution that keeps the size: stride 1, a border of zeros.

  Args:
    x: its columns are a multiple of `count`.
    kernel: of the convolution.
    count: columns taken as one.

  Returns:
    What the plain convolution gives, up to rounding.
  """
  b, h, w, k = x.shape
  y = lax.conv_general_dilated(
    x.reshape(b, h, w // count, count * k),
    _folded_kernel(kernel, count),
    (1, 1),
    ((1, 1), (1, 1)),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
  )
  return y.reshape(b, h, w, kernel.shape[-1])


def _folded_kernel(kernel: Array, count: int) -> Array:
  """[3 3 count*k count*k2]: each tap where it joins two of the columns."""
  rows, _, inputs, outputs = kernel.shape
  wide = jnp.einsum('rtio,tdpq->rdpiqo', kernel, _joins(count, kernel.dtype))
  return wide.reshape(rows, 3, count * inputs, count * outputs)


def _joins(count: int, dtype: np.dtype) -> np.ndarray:
  """1 where tap t joins column p of a neighbour d to output column q."""
  tap, neighbour, column, output = np.ogrid[:3, -1:2, :count, :count]
  return (tap == count * neighbour + column - output + 1).astype(dtype)
