"""Max pooling, with a gradient that a CPU runs fast."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import lax
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import conv_forms, padding


def max_pool_2x2(
  x: Float[Array, 'b h w k'], ceil_mode: bool = False
) -> Float[Array, 'b h2 w2 k']:
  """Max pooling over 2 x 2 cells, stride 2.

  Where several values of a cell are the largest, the gradient goes to the
  first in row-major order, as XLA's own pooling has it.

  Args:
    x: [b h w k] values.
    ceil_mode: whether an odd last row or column makes a cell of its own
      (as FCN8 needs); else it is dropped.

  Returns:
    [b h2 w2 k], sizes halved and rounded up or down.
  """
  _, h, w, _ = x.shape
  pads = ((0, h % 2), (0, w % 2)) if ceil_mode else ((0, 0), (0, 0))
  if not conv_forms.rewriting():
    return nn.max_pool(x, (2, 2), (2, 2), pads)
  # A negative padding drops the odd row or column.
  even = [(0, high or -(n % 2)) for n, (_, high) in zip((h, w), pads)]
  return _pool(padding.around(x, even, -jnp.inf))


def max_pool_3x3(
  x: Float[Array, 'b h w k'], ceil_mode: bool = False
) -> Float[Array, 'b h2 w2 k']:
  """Max pooling over 3 x 3 cells, stride 2, padding 1, as in ResNet.

  Ties are as in `max_pool_2x2`. The gradients of the up to four cells that
  share a value are added in another order than XLA's.

  Args:
    x: [b h w k] values.
    ceil_mode: whether a last cell that only begins inside the padded input
      counts (as in the Caffe-style ResNet101): it makes the result of an
      even size one row or column larger.

  Returns:
    [b h2 w2 k], sizes halved and rounded up; with `ceil_mode` halved,
    rounded down and one more (64 -> 33, 65 -> 33).
  """
  pads = [(1, 2 - n % 2 if ceil_mode else 1) for n in x.shape[1:3]]
  if conv_forms.rewriting():
    return _pool_3x3(x, tuple(pads))
  return nn.max_pool(x, (3, 3), (2, 2), pads)


def _quarters(x: Array) -> list[Array]:
  b, h, w, k = x.shape
  cells = x.reshape(b, h // 2, 2, w // 2, 2, k)
  return [cells[:, :, i, :, j] for i in (0, 1) for j in (0, 1)]


@jax.custom_vjp
def _pool(x: Array) -> Array:
  b, h, w, k = x.shape
  return x.reshape(b, h // 2, 2, w // 2, 2, k).max((2, 4))


def _pool_forward(x: Array) -> tuple[Array, tuple[Array, Array]]:
  y = _pool(x)
  return y, (x, y)


def _pool_backward(saved: tuple[Array, Array], g: Array) -> tuple[Array]:
  x, y = saved
  free = jnp.ones(y.shape, bool)
  parts = []
  for quarter in _quarters(x):
    chosen = free & (quarter == y)
    free = free & ~chosen
    parts.append(jnp.where(chosen, g, 0))
  b, h, w, k = x.shape
  # [4, b, h/2, w/2, k] -> rows and columns of each cell side by side.
  cells = jnp.stack(parts).reshape(2, 2, b, h // 2, w // 2, k)
  return (cells.transpose(2, 3, 0, 4, 1, 5).reshape(x.shape),)


_pool.defvjp(_pool_forward, _pool_backward)


def _cells(size: int, pad: tuple[int, int]) -> int:
  """How many cells of three fit, two apart."""
  return (size + sum(pad) - 3) // 2 + 1


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _pool_3x3(x: Array, pads: tuple[tuple[int, int], ...]) -> Array:
  y = padding.around(x, pads, -jnp.inf)
  for axis in (1, 2):
    last = 2 * _cells(x.shape[axis], pads[axis - 1]) - 1
    seen = [lax.slice_in_dim(y, i, i + last, 2, axis=axis) for i in range(3)]
    y = functools.reduce(jnp.maximum, seen)
  return y


def _pool_3x3_forward(
  x: Array, pads: tuple[tuple[int, int], ...]
) -> tuple[Array, tuple[Array, Array]]:
  y = _pool_3x3(x, pads)
  return y, (x, y)


def _pool_3x3_backward(
  pads: tuple[tuple[int, int], ...], saved: tuple[Array, Array], g: Array
) -> tuple[Array]:
  x, y = saved
  padded = padding.around(x, pads, -jnp.inf)
  rows, columns = (2 * n - 1 for n in y.shape[1:3])
  free = jnp.ones(y.shape, bool)
  lines = []
  for i in range(3):
    parts = []
    for j in range(3):
      chosen = free & (padded[:, i : i + rows : 2, j : j + columns : 2] == y)
      free = free & ~chosen
      parts.append(jnp.where(chosen, g, 0))
    lines.append(_woven(parts, 2, x.shape[2]))
  return (_woven(lines, 1, x.shape[1]),)


def _woven(parts: Sequence[Array], axis: int, size: int) -> Array:
  """Gradients of the three places of all cells, laid over the input.

  Place t of cell i is the input's row 2 i + t - 1: even rows belong to one
  cell, odd rows to two.
  """
  pairs = -(-size // 2)
  more = pairs - parts[0].shape[axis]

  first, middle, last = parts
  even = padding.along(middle, axis, 0, more)
  odd = padding.along(first, axis, -1, more + 1)
  odd += padding.along(last, axis, 0, more)
  shape = list(even.shape)
  shape[axis] = 2 * pairs
  both = jnp.stack([even, odd], axis + 1).reshape(shape)
  return lax.slice_in_dim(both, 0, size, axis=axis)


_pool_3x3.defvjp(_pool_3x3_forward, _pool_3x3_backward)
