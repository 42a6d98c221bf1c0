"""Distances between many points, in blocks: memory stays at a block."""

import numpy as np
from jaxtyping import Float

# Rows of a block: with its differences it stays in a core's own cache.
_BLOCK = 512


def squared(
  points: Float[np.ndarray, 'n k'], centre: Float[np.ndarray, ' k']
) -> Float[np.ndarray, ' n']:
  """Squared Euclidean distances to one point, exact where points coincide."""
  return to_nearest(points, centre[None])


def to_nearest(
  points: Float[np.ndarray, 'n k'], centres: Float[np.ndarray, 'm k']
) -> Float[np.ndarray, ' n']:
  """Squared Euclidean distance of each point to the nearest centre.

  A pair's distance is the same whatever stands beside it, and whichever of
  the two is called the centre.

  Args:
    points: float32 or float64.
    centres: at least one.

  Returns:
    float64, exactly 0 where a point coincides with a centre.
  """
  nearest = np.full(len(points), np.inf)
  scratch = np.empty((_BLOCK, points.shape[1]), points.dtype)
  for start in range(0, len(points), _BLOCK):
    rows = points[start : start + _BLOCK]
    found = nearest[start : start + _BLOCK]
    for centre in centres:
      difference = np.subtract(rows, centre, out=scratch[: len(rows)])
      np.minimum(
        found, np.einsum('nk,nk->n', difference, difference), out=found
      )
  return nearest
