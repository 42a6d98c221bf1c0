"""Distances to the nearest pick, worked out only where they can matter.

A pick can only bring the nearest pick closer, so a distance that does not yet
count the latest picks is an upper bound. The farthest point, and a draw by
squared distance, are found by making exact the few bounds that are in
question. The results are those of updating every point after every pick (the
farthest bit by bit, the draw in distribution); no pair of point and pick is
computed twice, so this is never more work, and the larger the pool the less.
"""

import numpy as np
from jaxtyping import Float

from segxal_jax.acquisition.distances import squared, to_nearest

# Points that share one entry in the list of the largest bounds.
_BLOCK = 512
# A draw refused this often in a row: the bounds are too loose to draw from.
_PATIENCE = 32


class Nearest:
  """Squared Euclidean distances of points to the nearest of a growing set.

  Attributes:
    bound: float64 [n], at least the squared distance to the nearest pick;
      -1 for the picks themselves.
  """

  def __init__(
    self,
    points: Float[np.ndarray, 'n k'],
    bound: Float[np.ndarray, ' n'],
    capacity: int,
  ):
    """Starts without picks.

    Args:
      points: float32.
      bound: exact squared distances to what is there already, or infinity.
      capacity: how many picks there will be at most.
    """
    self.bound = np.array(bound, np.float64)
    self._points = points
    self._picked = np.empty((capacity, points.shape[1]), points.dtype)
    self._count = 0
    # How many of the picks a bound counts.
    self._seen = np.zeros(len(points), np.int32)
    starts = np.arange(0, len(points), _BLOCK)
    self._blocks = [slice(s, min(s + _BLOCK, len(points))) for s in starts]
    self._top = np.maximum.reduceat(self.bound, starts)
    self._free = np.add.reduceat(self.bound, starts)

  def add(self, pick: int) -> None:
    """Adds a point to the picks; it is never found again."""
    self._picked[self._count] = self._points[pick]
    self._count += 1
    self.bound[pick] = -1.0
    self._seen[pick] = np.iinfo(np.int32).max
    self._note(pick // _BLOCK)

  def farthest(self) -> int:
    """The point farthest from the picks, the first of equals."""
    floor = -np.inf
    while True:
      block = int(np.argmax(self._top))
      rows = self._blocks[block]
      first = int(rows.start + np.argmax(self.bound[rows]))
      if self._seen[first] >= self._count:
        return first
      stale = self._seen[rows] < self._count
      # Until one distance is exact, nothing can be ruled out.
      rivals = (
        np.array([first])
        if floor == -np.inf
        else rows.start + np.flatnonzero(stale & (self.bound[rows] >= floor))
      )
      self._refresh(rivals)
      self._note(block)
      floor = max(floor, self.bound[rivals].max())

  def draw(self, rng: np.random.Generator) -> int:
    """A point that is no pick, with a chance that grows with the distance².

    Proposed by the bounds and accepted with distance² / bound, which is exact
    however loose the bounds are. Where all points coincide with picks, any of
    the others.
    """
    if not np.isfinite(self._free.sum()):
      self._refresh_all()
    for _ in range(_PATIENCE):
      row = self._proposal(rng)
      if row is None:
        break
      bound = self.bound[row]
      self._refresh(np.array([row]))
      self._note(row // _BLOCK)
      if rng.random() * bound < self.bound[row]:
        return row
    self._refresh_all()
    row = self._proposal(rng)
    if row is None:
      return int(rng.choice(np.flatnonzero(self.bound >= 0)))
    return row

  def _proposal(self, rng: np.random.Generator) -> int | None:
    """A point drawn by the bounds; None if all are 0."""
    blocks = np.cumsum(self._free)
    if not blocks[-1] > 0:
      return None
    rows = self._blocks[_drawn_index(blocks, rng)]
    within = np.cumsum(np.maximum(self.bound[rows], 0))
    return int(rows.start + _drawn_index(within, rng))

  def _refresh(self, rows: np.ndarray) -> None:
    """Makes the bounds of some points exact."""
    seen = self._seen[rows]
    for start in np.unique(seen):
      group = rows[seen == start]
      missing = self._picked[start : self._count]
      # The longer of the two goes through in blocks.
      if len(group) < len(missing):
        found = [squared(missing, self._points[row]).min() for row in group]
      else:
        found = to_nearest(self._points[group], missing)
      self.bound[group] = np.minimum(self.bound[group], found)
    self._seen[rows] = self._count

  def _refresh_all(self) -> None:
    for block, rows in enumerate(self._blocks):
      stale = self._seen[rows] < self._count
      if stale.any():
        self._refresh(rows.start + np.flatnonzero(stale))
        self._note(block)

  def _note(self, block: int) -> None:
    """Keeps the block's largest bound and the sum of its free points'."""
    bound = self.bound[self._blocks[block]]
    self._top[block] = bound.max()
    self._free[block] = np.maximum(bound, 0).sum()


def _drawn_index(cumulative: np.ndarray, rng: np.random.Generator) -> int:
  """An index, drawn by the steps of a cumulative sum of weights."""
  index = np.searchsorted(
    cumulative, rng.random() * cumulative[-1], side='right'
  )
  # The product can round up to the sum itself.
  last = np.flatnonzero(np.diff(cumulative, prepend=0.0))[-1]
  return int(min(index, last))
