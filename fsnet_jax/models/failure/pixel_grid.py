"""Corrections that were computed at every second pixel, carried to all."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

# What a neighbour of another class counts, one of the same class counting 1
# more: nothing where there is one of the same, all where there is none.
_OTHERS = 0.02
STRIDE = 2


def carried(
  corrections: Float[Array, 'b h2 w2'],
  first: Integer[Array, 'b h w'],
) -> Float[Array, 'b h w']:
  """Corrections of all pixels from those of every second row and column.

  A pixel between others takes the mean of its two or four neighbours, those of
  its own class before all: what a correction is depends on the class, which
  changes where errors are. Beyond the last row and column the last is repeated.

  Args:
    corrections: of pixels (0, 0), (0, 2), ..., (2, 0), ...; h2 = ceil(h / 2).
    first: predicted classes of all pixels.

  Returns:
    The corrections given, where they were given, and means between them.
  """
  height, width = first.shape[1:]
  grid = corrections.shape[1:]
  margin = [(0, 0), (0, -height % STRIDE), (0, -width % STRIDE)]
  whole = jnp.pad(first, margin, 'edge')
  classes = whole[:, ::STRIDE, ::STRIDE]
  steps = [(row, column) for row in range(STRIDE) for column in range(STRIDE)]
  near = {
    step: (_moved(corrections, step), _moved(classes, step)) for step in steps
  }
  rows = []
  for row in range(STRIDE):
    columns = []
    for column in range(STRIDE):
      own = whole[:, row::STRIDE, column::STRIDE]
      used = [near[r, c] for r, c in steps if r <= row and c <= column]
      columns.append(_mean(own, used))
    rows.append(jnp.stack(columns, axis=-1))
  found = jnp.stack(rows, axis=2)
  size = (len(first), STRIDE * grid[0], STRIDE * grid[1])
  return found.reshape(size)[:, :height, :width]


def _moved(values: Array, step: tuple[int, int]) -> Array:
  """The neighbour `step` rows and columns on, or else the last."""
  for axis, count in enumerate(step, 1):
    size = values.shape[axis]
    ends = [jax.lax.slice_in_dim(values, size - 1, size, axis=axis)] * count
    rest = jax.lax.slice_in_dim(values, count, size, axis=axis)
    values = jnp.concatenate([rest, *ends], axis)
  return values


def _mean(own: Array, neighbours: list[tuple[Array, Array]]) -> Array:
  """Of the neighbours' corrections, by whether they have a pixel's class."""
  if len(neighbours) == 1:
    return neighbours[0][0]
  total = weights = jnp.zeros(own.shape)
  for value, theirs in neighbours:
    weight = _OTHERS + (own == theirs)
    total, weights = total + weight * value, weights + weight
  return total / weights
