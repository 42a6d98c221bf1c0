"""Sizes of feature maps."""

from jaxtyping import Array


def grid_of(x: Array) -> tuple[int, int]:
  """Rows and columns of a map.

  Args:
    x: [b h w ...].
  """
  rows, columns = x.shape[1:3]
  return rows, columns
