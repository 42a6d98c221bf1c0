"""Bilinear resizing: whole factors as shift-and-lerp, others by matmul.

Upsampling by a whole factor needs two neighbours and a weight for each
output, so it is written as such: an elementwise program that every back end
fuses, where a transposed convolution of the same values is slow (on a CPU by
a factor of hundreds if it is grouped).
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def bilinear_transposed(
  x: Float[Array, 'b h w k'],
  factor: int,
  offset: int = 0,
  size: tuple[int, int] | None = None,
) -> Float[Array, 'b h2 w2 k']:
  """A transposed convolution with the fixed bilinear kernel, exactly.

  The kernel has 2 * factor taps a side, the stride is `factor`, there is no
  padding, and each channel is taken by itself, as in FCN8. Outside the input
  the values are zero, so the outer half cells fade to zero.

  Args:
    x: [b h w k] values.
    factor: a whole number, at least 2, and even.
    offset: rows and columns of the output to drop at its start.
    size: rows and columns of the output to keep; the default keeps all of
      the (n + 1) * factor - offset that there are.

  Returns:
    [b h2 w2 k], the kept part of the output. Only this part is computed.
  """
  for axis in (1, 2):
    full = (x.shape[axis] + 1) * factor - offset
    keep = full if size is None else size[axis - 1]
    x = _lerp(x, axis, factor, offset, keep, 'constant')
  return x


def resize_bilinear(
  x: Float[Array, 'b h w k'], size: tuple[int, int]
) -> Float[Array, 'b h2 w2 k']:
  """Bilinear resizing with half-pixel centres, edge clamp, no antialiasing.

  The convention of PyTorch's `interpolate(align_corners=False)`.

  Args:
    x: [b h w k] values.
    size: rows and columns of the result.

  Returns:
    [b h2 w2 k].
  """
  for axis, length in ((1, size[0]), (2, size[1])):
    have = x.shape[axis]
    if have == length:
      continue
    if length % have == 0 and (length // have) % 2 == 0:
      factor = length // have
      x = _lerp(x, axis, factor, factor // 2, length, 'edge')
    elif have == 2 * length:
      x = _halve(x, axis)
    else:
      shape = x.shape[:axis] + (length,) + x.shape[axis + 1 :]
      x = jax.image.resize(x, shape, 'linear', antialias=False)
  return x


def resize_align_corners(
  x: Float[Array, 'b h w k'], size: tuple[int, int]
) -> Float[Array, 'b h2 w2 k']:
  """Bilinear resizing that maps corner pixels onto corner pixels.

  The convention of PyTorch's `interpolate(align_corners=True)`: output i
  lies at input i * (n - 1) / (m - 1). DeepLab's logits need it: at stride 8
  cell i is centred at pixel 8 i.

  Args:
    x: [b h w k] values.
    size: rows and columns of the result.

  Returns:
    [b h2 w2 k]; a matrix product along each axis, in full precision.
  """
  for axis, length in ((1, size[0]), (2, size[1])):
    if x.shape[axis] == length:
      continue
    if x.shape[axis] == 1:
      x = jnp.repeat(x, length, axis)
      continue
    weights = jnp.asarray(_corner_weights(x.shape[axis], length), x.dtype)
    subscripts = 'oh,bhwk->bowk' if axis == 1 else 'ow,bhwk->bhok'
    x = jnp.einsum(subscripts, weights, x, precision=jax.lax.Precision.HIGHEST)
  return x


def _corner_weights(have: int, want: int) -> np.ndarray:
  """[want have] weights of each input in each output; rows sum to 1."""
  position = np.arange(want) * ((have - 1) / max(want - 1, 1))
  distance = np.abs(position[:, None] - np.arange(have)[None, :])
  return np.maximum(0, 1 - distance)


def _lerp(
  x: Array, axis: int, factor: int, offset: int, size: int, mode: str
) -> Array:
  """Outputs offset .. offset + size of a bilinear upsampling along an axis.

  Output `j * factor + r` lies between inputs j - 1 and j, with the weight
  (r + 1/2) / factor on input j. Inputs beyond the ends are zero or, in mode
  'edge', repeat the end.
  """
  first, last = offset // factor, (offset + size - 1) // factor
  x = _with_ends(x, axis, mode)
  before = jax.lax.slice_in_dim(x, first, last + 1, axis=axis)
  after = jax.lax.slice_in_dim(x, first + 1, last + 2, axis=axis)
  weight = (np.arange(factor) + 0.5) / factor
  shape = [1] * (x.ndim + 1)
  shape[axis + 1] = factor
  weight = weight.reshape(shape).astype(x.dtype)
  before = jnp.expand_dims(before, axis + 1)
  after = jnp.expand_dims(after, axis + 1)
  y = before * (1 - weight) + after * weight
  y = y.reshape(*x.shape[:axis], -1, *x.shape[axis + 1 :])
  start = offset - first * factor
  return jax.lax.slice_in_dim(y, start, start + size, axis=axis)


def _with_ends(x: Array, axis: int, mode: str) -> Array:
  """One more value at both ends of an axis: zero, or in mode 'edge' the end's.

  Not by `jnp.pad`: with 'edge' it takes the first and the last of every axis,
  the batch's too, whose gradient moves images between devices.
  """
  if mode != 'edge':
    pads = [(1, 1) if a == axis else (0, 0) for a in range(x.ndim)]
    return jnp.pad(x, pads)
  first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
  last = jax.lax.slice_in_dim(x, -1, None, axis=axis)
  return jnp.concatenate([first, x, last], axis)


def _halve(x: Array, axis: int) -> Array:
  """Means of neighbouring pairs: what half-pixel bilinear gives at 1/2."""
  pairs = (*x.shape[:axis], -1, 2, *x.shape[axis + 1 :])
  return x.reshape(pairs).mean(axis + 1)
