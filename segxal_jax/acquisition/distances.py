"""Distances of many points to one, in blocks: memory stays at a block."""

import numpy as np
from jaxtyping import Float

# Rows of a block.
_BLOCK = 4096


def squared(
  points: Float[np.ndarray, 'n k'], centre: Float[np.ndarray, ' k']
) -> Float[np.ndarray, ' n']:
  """Squared Euclidean distances to one point, exact where points coincide."""
  result = np.empty(len(points), np.float64)
  for start in range(0, len(points), _BLOCK):
    rows = slice(start, start + _BLOCK)
    difference = points[rows] - centre
    result[rows] = np.einsum('nk,nk->n', difference, difference)
  return result
