"""Distances worked out late against distances updated at every pick."""

import numpy as np
import pytest
from scipy import stats

from segxal_jax.acquisition import distances
from segxal_jax.acquisition.nearest import Nearest

_MANY = 1300  # three blocks, the last one short


def _points(kind: str) -> np.ndarray:
  rng = np.random.default_rng(0)
  if kind == 'normal':
    return rng.normal(size=(_MANY, 8)).astype(np.float32)
  if kind == 'line':  # every pick changes the answer for many points
    return rng.random((_MANY, 1)).astype(np.float32)
  # Ties everywhere.
  return rng.integers(0, 4, (_MANY, 3)).astype(np.float32)


def _start(points, first: int, capacity: int) -> Nearest:
  nearest = Nearest(points, np.full(len(points), np.inf), capacity)
  nearest.add(first)
  return nearest


@pytest.mark.parametrize('kind', ['normal', 'line', 'ties'])
def test_farthest_is_that_of_updating_everything(kind):
  points = _points(kind)
  nearest = _start(points, 7, 101)
  eager = ((points - points[7]) ** 2).sum(axis=1, dtype=np.float64)
  eager[7] = -1
  for _ in range(100):
    expected = int(np.argmax(eager))
    found = nearest.farthest()
    # Sums of another order may swap points that are as far but for rounding.
    assert eager[found] == pytest.approx(eager[expected], rel=1e-6, abs=1e-12)
    if kind == 'ties':
      assert found == expected
    nearest.add(found)
    gaps = ((points - points[found]) ** 2).sum(axis=1, dtype=np.float64)
    eager = np.minimum(eager, gaps)
    eager[found] = -1
    assert (nearest.bound >= eager - 1e-5).all()


def test_less_is_worked_out_than_everything(monkeypatch):
  pairs = 0

  def counted(points, centres):
    nonlocal pairs
    pairs += len(points) * len(centres)
    return distances.to_nearest(points, centres)

  monkeypatch.setattr('segxal_jax.acquisition.nearest.to_nearest', counted)
  monkeypatch.setattr(
    'segxal_jax.acquisition.nearest.squared',
    lambda points, centre: counted(points, centre[None]),
  )
  rng = np.random.default_rng(0)
  points = rng.normal(size=(_MANY, 32)).astype(np.float32)
  nearest = _start(points, 0, 60)
  for _ in range(59):
    nearest.add(nearest.farthest())
  assert pairs < 0.7 * _MANY * 60


def test_draws_follow_the_squared_distance():
  points = np.array([[0], [1], [2], [3], [4], [10]], np.float32)
  # After 0 and 4 are picks, the squared distances are 1, 4, 1 and 36.
  counts = np.zeros(6)
  for seed in range(2000):
    nearest = _start(points, 0, 3)
    # Bounds that count the first pick only, so that most proposals are loose.
    nearest.farthest()
    nearest.add(4)
    counts[nearest.draw(np.random.default_rng(seed))] += 1
  assert counts[0] == counts[4] == 0
  weights = np.array([1, 4, 1, 36])
  expected = 2000 * weights / weights.sum()
  assert stats.chisquare(counts[[1, 2, 3, 5]], expected).pvalue > 0.001


def test_draws_where_all_coincide_end_and_never_repeat():
  points = np.ones((5, 2), np.float32)
  nearest = _start(points, 2, 5)
  rng, seen = np.random.default_rng(0), {2}
  for _ in range(4):
    pick = nearest.draw(rng)
    seen.add(pick)
    nearest.add(pick)
  assert seen == set(range(5))


def test_very_loose_bounds_are_made_exact_before_drawing():
  # All but one point coincide with the second pick: almost every proposal by
  # the old bounds is refused.
  points = np.zeros((_MANY, 1), np.float32)
  points[0], points[1] = 100, 1
  nearest = _start(points, 0, 2)
  nearest.farthest()
  nearest.add(2)
  assert nearest.draw(np.random.default_rng(0)) == 1
