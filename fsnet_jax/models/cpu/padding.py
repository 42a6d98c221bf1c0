"""Padding an array along its rows, its columns or both; negative crops."""

from collections.abc import Sequence

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array


def along(x: Array, axis: int, low: int, high: int) -> Array:
  """Zeros before and after along one axis.

  Args:
    x: of any shape.
    axis: of it.
    low: how many before; negative: how many to drop.
    high: how many after, likewise.
  """
  config = [(0, 0, 0)] * x.ndim
  config[axis] = (low, high, 0)
  return lax.pad(x, jnp.zeros((), x.dtype), config)


def around(
  x: Array, pads: Sequence[tuple[int, int]], value: float = 0.0
) -> Array:
  """A value around the rows and columns of images.

  Args:
    x: [b h w k].
    pads: (before, after) for rows and for columns; negative: to drop.
    value: to fill with.
  """
  config = [(0, 0, 0), *((low, high, 0) for low, high in pads), (0, 0, 0)]
  return lax.pad(x, jnp.array(value, x.dtype), config)
