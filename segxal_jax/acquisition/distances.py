"""Distances of many points to one, in blocks: memory stays at a block."""

import numpy as np
from jaxtyping import Float

# Rows of a block: with its differences it stays in a core's own cache.
_BLOCK = 512


def squared(
  points: Float[np.ndarray, 'n k'], centre: Float[np.ndarray, ' k']
) -> Float[np.ndarray, ' n']:
  """Squared Euclidean distances to one point, exact where points coincide."""
  result = np.empty(len(points), np.float64)
  scratch = np.empty((_BLOCK, points.shape[1]), points.dtype)
  for start in range(0, len(points), _BLOCK):
    rows = points[start : start + _BLOCK]
    difference = np.subtract(rows, centre, out=scratch[: len(rows)])
    result[start : start + len(rows)] = np.einsum(
      'nk,nk->n', difference, difference
    )
  return result
