"""Depthwise convolutions as sums of shifted products, for XLA:CPU.

XLA's CPU back end runs a convolution with as many groups as channels one
group at a time: 10 to 60 times slower than what the few multiplications
need. Written as a sum over kernel taps of a shifted image times one weight a
channel it is an elementwise program, which the compiler fuses and
vectorises.
"""

import functools
import operator
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array

from fsnet_jax.models.cpu.conv_choice import Geometry


def is_depthwise(x: Array, kernel: Array, groups: int) -> bool:
  """Whether a convolution has one kernel for each channel and no more.

  Args:
    x: [b h w k] input.
    kernel: (rows, columns, 1, out).
    groups: `feature_group_count`.
  """
  return groups == x.shape[-1] == kernel.shape[-1] and groups > 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def convolve(x: Array, kernel: Array, geometry: Geometry) -> Array:
  """A depthwise convolution.

  Args:
    x: [b h w k] input.
    kernel: (rows, columns, 1, k).
    geometry: strides, padding (not negative), dilation.

  Returns:
    [b h2 w2 k] in the type of `x`, summed in float32 or wider.
  """
  padded = _padded(x, geometry.pads)
  size = _output_size(padded, kernel, geometry)
  total = functools.reduce(
    operator.add,
    (
      _wide(_seen(padded, tap, size, geometry)) * _wide(kernel[*tap, 0])
      for tap in _taps(kernel)
    ),
  )
  return total.astype(x.dtype)


def _forward(
  x: Array, kernel: Array, geometry: Geometry
) -> tuple[Array, tuple[Array, Array]]:
  return convolve(x, kernel, geometry), (x, kernel)


def _backward(
  geometry: Geometry, saved: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
  x, kernel = saved
  return (
    _input_gradient(x, kernel, g, geometry),
    _kernel_gradient(x, kernel, g, geometry),
  )


convolve.defvjp(_forward, _backward)


def _input_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  """The same, of the output's gradient spread out and the turned kernel."""
  zero = jnp.zeros((), g.dtype)
  config = [(0, 0, 0)]
  for axis in (0, 1):
    stride = geometry.strides[axis]
    reach = geometry.dilation[axis] * (kernel.shape[axis] - 1)
    low = reach - geometry.pads[axis][0]
    spread = (g.shape[axis + 1] - 1) * stride + 1
    high = x.shape[axis + 1] + reach - spread - low
    config.append((low, high, stride - 1))
  spread = lax.pad(g, zero, [*config, (0, 0, 0)])
  window = Geometry((1, 1), ((0, 0), (0, 0)), geometry.dilation)
  return convolve(spread, kernel[::-1, ::-1], window).astype(x.dtype)


def _kernel_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  """Sums of shifted products, one row of one output after the other.

  A loop over the output's rows, because that keeps what is summed in the
  fastest cache: a program for each tap reads x and g from memory as often as
  there are taps, and compiled for seconds in each of sixteen layers. At a
  column stride of 1 a shift by a column is one by k numbers, so that columns
  and channels are one long axis.
  """
  b, rows, columns, k = g.shape
  stride, dilation = geometry.strides[1], geometry.dilation
  merged, inner = (k, (-1,)) if stride == 1 else (1, (-1, k))
  padded = _padded(x, geometry.pads)
  padded = padded.reshape(b, padded.shape[1], *inner)
  g = g.reshape(b, rows, *inner)
  rest = (0,) * len(inner)
  reach = dilation[0] * (kernel.shape[0] - 1) + 1
  length = (g.shape[2] - 1) * stride + 1

  def of_row(index: Array, sums: list[Array]) -> list[Array]:
    image, row = index // rows, index % rows
    seen = lax.dynamic_slice(
      padded,
      (image, row * geometry.strides[0], *rest),
      (1, reach, *padded.shape[2:]),
    )
    seen = _wide(seen[0, :: dilation[0]])
    wanted = lax.dynamic_slice(g, (image, row, *rest), (1, 1, *g.shape[2:]))
    wanted = _wide(wanted[0])
    starts = [dilation[1] * merged * c for c in range(len(sums))]
    return [
      total + lax.slice_in_dim(seen, low, low + length, stride, 1) * wanted
      for total, low in zip(sums, starts)
    ]

  zero = _wide(jnp.zeros((kernel.shape[0], *g.shape[2:]), x.dtype))
  sums = lax.fori_loop(0, b * rows, of_row, [zero] * kernel.shape[1])
  taps = [total.reshape(-1, columns, k).sum(1) for total in sums]
  return jnp.stack(taps, 1).reshape(kernel.shape).astype(kernel.dtype)


def _wide(x: Array) -> Array:
  return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def _padded(x: Array, pads: Sequence[tuple[int, int]]) -> Array:
  config = [(low, high, 0) for low, high in pads]
  zero = jnp.zeros((), x.dtype)
  return lax.pad(x, zero, [(0, 0, 0), *config, (0, 0, 0)])


def _taps(kernel: Array) -> list[tuple[int, int]]:
  rows, columns = kernel.shape[:2]
  return [(i, j) for i in range(rows) for j in range(columns)]


def _output_size(
  padded: Array, kernel: Array, geometry: Geometry
) -> tuple[int, int]:
  rows, columns = (
    (padded.shape[axis + 1] - (kernel.shape[axis] - 1) * dilation - 1)
    // geometry.strides[axis]
    + 1
    for axis, dilation in enumerate(geometry.dilation)
  )
  return rows, columns


def _seen(
  padded: Array,
  tap: tuple[int, int],
  size: tuple[int, int],
  geometry: Geometry,
) -> Array:
  """What a kernel tap sees: one padded input value for each output."""
  low = [t * d for t, d in zip(tap, geometry.dilation)]
  high = [a + (n - 1) * s + 1 for a, n, s in zip(low, size, geometry.strides)]
  b, _, _, k = padded.shape
  return lax.slice(
    padded, (0, *low, 0), (b, *high, k), (1, *geometry.strides, 1)
  )
