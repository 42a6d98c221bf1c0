"""Convolutions in the form that the back end runs fastest.

XLA's CPU back end is slow at several forms that GPU and TPU compilers do
well: the gradients of a convolution, above all. This file writes the same
convolution, and each of its gradients, in further ways and chooses by shape.
On any back end but the CPU it is `lax.conv_general_dilated`.

The forms compute the same sums in another order; they differ by rounding.

Use: `nn.Conv(..., conv_general_dilated=conv_forms.conv_general_dilated)`.
"""

import contextlib
import contextvars
import functools
import operator
from collections.abc import Generator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array

from fsnet_jax.models.cpu import (
  channel_parts,
  column_folding,
  depthwise,
  kernel_bands,
  padding,
  winograd,
)
from fsnet_jax.models.cpu.conv_choice import Forms, Geometry, choose
from fsnet_jax.models.sizes import grid_of

_CHOICE: contextvars.ContextVar[str] = contextvars.ContextVar(
  'conv_forms_choice', default='auto'
)
_NHWC = ('NHWC', 'HWIO', 'NHWC')


@contextlib.contextmanager
def use(choice: str) -> Generator[None]:
  """Overrides the choice by back end, for tests and benchmarks.

  It acts while a program is traced: what `jit` compiled before is kept.

  Args:
    choice: 'plain' (never rewrite), 'undilated' (transposed convolutions
      alone, which TFLite's converter gets wrong), 'onnx' (never rewrite; calls
      stand where ONNX has an operator), 'cpu' (always rewrite as for a CPU) or
      'auto' (by back end).

  Raises:
    ValueError: `choice` is none of these.
  """
  if choice not in ('plain', 'undilated', 'onnx', 'cpu', 'auto'):
    raise ValueError(f'Unknown choice of convolution forms: {choice!r}.')
  token = _CHOICE.set(choice)
  try:
    yield
  finally:
    _CHOICE.reset(token)


def rewriting() -> bool:
  """Whether the CPU's forms are in use."""
  choice = _CHOICE.get()
  return choice == 'cpu' or (
    choice == 'auto' and jax.default_backend() == 'cpu'
  )


def writing_onnx() -> bool:
  """Whether an ONNX file is being written of what is traced."""
  return _CHOICE.get() == 'onnx'


def rewriting_transposed() -> bool:
  """Whether transposed convolutions are to be rewritten, too."""
  return rewriting() or _CHOICE.get() == 'undilated'


def conv_general_dilated(
  lhs: Array,
  rhs: Array,
  window_strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  lhs_dilation: Sequence[int] | None = None,
  rhs_dilation: Sequence[int] | None = None,
  dimension_numbers: Any = None,
  feature_group_count: int = 1,
  precision: Any = None,
) -> Array:
  """`lax.conv_general_dilated`, rewritten where that is faster.

  Args:
    lhs: [b h w k] input.
    rhs: kernel, (rows, columns, in, out).
    window_strides: (rows, columns).
    padding: 'SAME', 'VALID' or pairs of (before, after).
    lhs_dilation: as in lax; other than ones it is never rewritten.
    rhs_dilation: distance between kernel taps.
    dimension_numbers: as Flax passes them, channels last.
    feature_group_count: as in lax; with as many groups as channels see
      `depthwise`, other numbers but one are never rewritten.
    precision: as in lax; a given precision is never rewritten.

  Returns:
    [b h2 w2 out].
  """
  plain = (
    not rewriting()
    or lhs.ndim != 4
    or precision is not None
    or (lhs_dilation is not None and set(lhs_dilation) != {1})
  )
  if not plain and depthwise.is_depthwise(lhs, rhs, feature_group_count):
    geometry = _geometry(lhs, rhs, window_strides, padding, rhs_dilation)
    return depthwise.convolve(lhs, rhs, geometry)
  plain = plain or feature_group_count != 1
  if not plain:
    geometry = _geometry(lhs, rhs, window_strides, padding, rhs_dilation)
    forms = choose(rhs.shape, geometry, lhs.shape[1:3])
    if forms != Forms():
      return convolve(lhs, rhs, geometry, forms)
  return lax.conv_general_dilated(
    lhs,
    rhs,
    window_strides,
    padding,
    lhs_dilation,
    rhs_dilation,
    dimension_numbers,
    feature_group_count,
    precision=precision,
  )


def convolve_3x3(x: Array, kernel: Array) -> Array:
  """A 3x3 convolution that keeps the size, with a border of zeros.

  Args:
    x: [b h w k] input.
    kernel: (3, 3, k, out).

  Returns:
    [b h w out].
  """
  return conv_general_dilated(
    x, kernel, (1, 1), ((1, 1), (1, 1)), dimension_numbers=_NHWC
  )


def _geometry(
  lhs: Array,
  rhs: Array,
  window_strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  rhs_dilation: Sequence[int] | None,
) -> Geometry:
  """What lax would read from these arguments."""
  dilation = _pair(rhs_dilation or (1, 1))
  if isinstance(padding, str):
    extent = [(k - 1) * d + 1 for k, d in zip(rhs.shape[:2], dilation)]
    padding = lax.padtype_to_pads(
      lhs.shape[1:3], extent, window_strides, padding
    )
  rows, columns = padding
  return Geometry(
    _pair(window_strides), (_pair(rows), _pair(columns)), dilation
  )


def _pair(values: Sequence[int]) -> tuple[int, int]:
  """Two numbers, NumPy's as Python's."""
  first, second = map(operator.index, values)
  return first, second


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def convolve(
  x: Array, kernel: Array, geometry: Geometry, forms: Forms
) -> Array:
  """A convolution written in given forms.

  Args:
    x: [b h w k] input.
    kernel: (rows, columns, in, out).
    geometry: strides, padding, dilation.
    forms: how to write it and its gradients.

  Returns:
    [b h2 w2 out].
  """
  if forms.columns > 1:
    strides, pads = geometry.strides, geometry.pads
    return column_folding.folded(x, kernel, forms.columns, strides, pads)
  return _FORWARD[forms.forward](x, kernel, geometry)


def _convolve_forward(
  x: Array, kernel: Array, geometry: Geometry, forms: Forms
) -> tuple[Array, tuple[Array, Array]]:
  return convolve(x, kernel, geometry, forms), (x, kernel)


def _convolve_backward(
  geometry: Geometry, forms: Forms, saved: tuple[Array, Array], g: Array
) -> tuple[Array, Array]:
  x, kernel = saved
  if forms.gradient_columns > 1:
    dx = column_folding.folded(g, _turned(kernel), forms.gradient_columns)
  else:
    dx = _INPUT_GRADIENT[forms.input_gradient](x, kernel, g, geometry)
  dkernel = _KERNEL_GRADIENT[forms.kernel_gradient](x, kernel, g, geometry)
  return dx, dkernel


convolve.defvjp(_convolve_forward, _convolve_backward)


def _plain(x: Array, kernel: Array, geometry: Geometry) -> Array:
  return lax.conv_general_dilated(
    x,
    kernel,
    geometry.strides,
    geometry.pads,
    rhs_dilation=geometry.dilation,
    dimension_numbers=_NHWC,
  )


def _plain_input_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  _, pull = jax.vjp(lambda x: _plain(x, kernel, geometry), x)
  return pull(g)[0]


def _plain_kernel_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  _, pull = jax.vjp(lambda kernel: _plain(x, kernel, geometry), kernel)
  return pull(g)[0]


def _swapped_kernel_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  """With `x` and `g` exchanged, for unit strides: the kernel comes out turned.

  The plain form is fast or slow by the channels of what stands for the output.
  """
  pads = kernel_bands.pads_of_gradient(x, kernel, g, geometry)
  window = Geometry((1, 1), pads, geometry.dilation)
  turned = _plain_kernel_gradient(g, _turned(kernel), x, window)
  return _turned(turned)


def _flipped_input_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  """A unit-stride convolution of `g`; padding may be negative (cropping)."""
  pads = kernel_bands.pads_of_gradient(x, kernel, g, geometry)
  window = Geometry((1, 1), pads, geometry.dilation)
  return _evened(g, _turned(kernel), window)


def _turned(kernel: Array) -> Array:
  """Flipped in rows and columns, with inputs and outputs exchanged."""
  return kernel[::-1, ::-1].swapaxes(2, 3)


def _taps(kernel: Array) -> list[tuple[int, int]]:
  rows, columns = kernel.shape[:2]
  return [(i, j) for i in range(rows) for j in range(columns)]


def _shifted(
  padded: Array, tap: tuple[int, int], grid: tuple[int, int], g: Geometry
) -> Array:
  """What a kernel tap sees: one padded input value for each output."""
  low = [t * d for t, d in zip(tap, g.dilation)]
  high = [a + (n - 1) * s + 1 for a, n, s in zip(low, grid, g.strides)]
  b, _, _, k = padded.shape
  return lax.slice(padded, (0, *low, 0), (b, *high, k), (1, *g.strides, 1))


def _product(subscripts: str, a: Array, b: Array) -> Array:
  """A matrix product summed, and left, in float32 or wider."""
  wide = jnp.promote_types(a.dtype, jnp.float32)
  return jnp.einsum(subscripts, a, b, preferred_element_type=wide)


def _patches(x: Array, window: Sequence[int], geometry: Geometry) -> Array:
  """[b h2 w2 rows columns k]: the padded input under each output's kernel."""
  patches = padding.around(x, geometry.pads)
  for axis, size in enumerate(window):
    # Rows are at axis 1, and stand before the columns once gathered.
    stride, dilation = geometry.strides[axis], geometry.dilation[axis]
    at = 1 + 2 * axis
    length = patches.shape[at]
    count = (length - 1 - (size - 1) * dilation) // stride + 1
    if size == 1:
      patches = lax.slice_in_dim(
        patches, 0, (count - 1) * stride + 1, stride, at
      )
      patches = jnp.expand_dims(patches, at + 1)
      continue
    places = np.arange(count)[:, None] * stride + np.arange(size) * dilation
    patches = jnp.take(patches, places, axis=at, mode='clip')
  return jnp.swapaxes(patches, 2, 3)


def _patches_forward(x: Array, kernel: Array, geometry: Geometry) -> Array:
  seen = _patches(x, kernel.shape[:2], geometry)
  # One axis is summed over: of three XLA wrote fc6's 411 MB anew, in an order
  # of its own, a third of the layer's time.
  flat = seen.reshape(*seen.shape[:3], -1)
  kernel = kernel.reshape(-1, kernel.shape[3])
  return _product('bhwk,ko->bhwo', flat, kernel).astype(x.dtype)


def _patches_kernel_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  seen = _patches(x, kernel.shape[:2], geometry)
  if kernel.shape[:2] == (1, 1) and kernel.shape[2] > kernel.shape[3]:
    # The product with fewer rows than columns is up to 1.5 times faster.
    turned = jnp.einsum('bhwo,bhwrci->orci', g, seen)
    return jnp.moveaxis(turned, 0, -1)
  return jnp.einsum('bhwrci,bhwo->rcio', seen, g)


def _taps_input_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  def part_of(tap: tuple[int, int]) -> Array:
    part = _product('bhwo,io->bhwi', g, kernel[tap])
    config = [(0, 0, 0)]
    for axis in (0, 1):
      stride, (before, after) = geometry.strides[axis], geometry.pads[axis]
      low = tap[axis] * geometry.dilation[axis]
      length = x.shape[axis + 1] + before + after
      high = length - low - ((g.shape[axis + 1] - 1) * stride + 1)
      # Placing among the padded rows and cropping the padding, in one.
      config.append((low - before, high - after, stride - 1))
    return lax.pad(part, jnp.zeros((), part.dtype), [*config, (0, 0, 0)])

  total = functools.reduce(operator.add, map(part_of, _taps(kernel)))
  return total.astype(x.dtype)


def _taps_kernel_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  padded = padding.around(x, geometry.pads)
  size = grid_of(g)
  parts = [
    jnp.einsum('bhwi,bhwo->io', _shifted(padded, tap, size, geometry), g)
    for tap in _taps(kernel)
  ]
  return jnp.stack(parts).reshape(kernel.shape)


def _winograd_input_gradient(
  x: Array, kernel: Array, g: Array, geometry: Geometry
) -> Array:
  return winograd.convolve(g, _turned(kernel), geometry)


def _evened(x: Array, kernel: Array, geometry: Geometry) -> Array:
  return _plain(*column_folding.evened(x, kernel), geometry)


_FORWARD = {
  'plain': _plain,
  'parted': functools.partial(channel_parts.convolve, own=conv_general_dilated),
  'evened': _evened,
  'patches': _patches_forward,
  'winograd': winograd.convolve,
}
_INPUT_GRADIENT = {
  'plain': _plain_input_gradient,
  'flipped': _flipped_input_gradient,
  'taps': _taps_input_gradient,
  'winograd': _winograd_input_gradient,
}
_KERNEL_GRADIENT = {
  'plain': _plain_kernel_gradient,
  'taps': _taps_kernel_gradient,
  'patches': _patches_kernel_gradient,
  'bands': kernel_bands.kernel_gradient,
  'rows': kernel_bands.kernel_gradient_by_rows,
  'swapped': _swapped_kernel_gradient,
}
