import dataclasses
import itertools

import numpy as np
import pytest

from common_lib.errors import UserError
from segxal_jax import acquisition
from segxal_jax.acquisition import Candidates

INDEX = np.array([3, 5, 8, 9])


def _rng():
  return np.random.default_rng(0)


def _candidates(scores, **more):
  return Candidates(INDEX, {'entropy': np.array(scores)}, **more)


def test_highest_scores_in_order_and_ties_in_the_pools():
  batch = acquisition.create('entropy').select(
    _candidates([0.1, 0.7, 0.3, 0.7]), 3, _rng()
  )
  np.testing.assert_array_equal(batch.index, [5, 9, 8])
  np.testing.assert_array_equal(batch.utility, [0.1, 0.7, 0.3, 0.7])


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_a_score_that_is_not_finite_names_its_image(value):
  with pytest.raises(ValueError, match='pool image 8'):
    acquisition.create('entropy').select(
      _candidates([0.1, 0.7, value, 0.7]), 1, _rng()
    )


def _embedded(points, centres=None):
  return Candidates(
    np.arange(len(points)),
    embedding=np.asarray(points, np.float32),
    centres=None if centres is None else np.asarray(centres, np.float32),
  )


def test_every_strategy_picks_distinct_images():
  points = np.random.default_rng(1).normal(size=(4, 3))
  for name, strategy in acquisition.ACQUISITIONS.items():
    assert strategy.name == name and strategy.title
    candidates = Candidates(
      INDEX,
      {need: np.arange(4.0) for need in strategy.needs},
      points.astype(np.float32) if strategy.needs_embedding else None,
      points[:1].astype(np.float32) if strategy.needs_embedding else None,
    )
    for count in (0, 2, 9):
      batch = strategy.select(candidates, count, _rng())
      assert len(set(batch.index)) == len(batch.index) == min(count, 4)
      assert set(batch.index) <= set(INDEX)
      assert batch.utility.shape == (4,)


def test_random_depends_on_its_generator_alone():
  strategy = acquisition.create('random')
  first = strategy.select(_candidates([0.0] * 4), 3, _rng())
  again = strategy.select(_candidates([9.0] * 4), 3, _rng())
  np.testing.assert_array_equal(first.index, again.index)


def test_core_set_by_hand():
  # The labelled point is 0; 10 is farthest; then 6 (4 from 10) before 2.
  candidates = _embedded([[2.0], [6.0], [10.0]], [[0.0]])
  batch = acquisition.create('coreset').select(candidates, 3, _rng())
  np.testing.assert_array_equal(batch.index, [2, 1, 0])
  np.testing.assert_allclose(batch.utility, [2, 6, 10])


def test_diverse_among_the_uncertain():
  # The two most uncertain are one frame twice; the third is another place; the
  # last is farthest, but nothing to learn from.
  points = np.array([[1.0], [1.1], [4.0], [2.0], [99.0]], np.float32)
  scores = np.array([0.9, 0.8, 0.7, 0.6, 0.1])
  candidates = dataclasses.replace(
    _embedded(points, [[0.0]]), scores={'entropy': scores}
  )
  strategy = acquisition.create('entropy_coreset')
  assert strategy.needs == ('entropy',) and strategy.needs_embedding
  listed = dataclasses.replace(strategy, factor=2)
  batch = listed.select(candidates, 2, _rng())
  np.testing.assert_array_equal(batch.index, [2, 3])
  np.testing.assert_array_equal(batch.utility, scores)
  named = acquisition.create('auto').select(candidates, 2, _rng())
  np.testing.assert_array_equal(named.index, batch.index)
  # Of all of them it is Core-set, of as many as are wanted it is Entropy.
  batch = dataclasses.replace(strategy, factor=5).select(candidates, 1, _rng())
  np.testing.assert_array_equal(batch.index, [4])
  batch = dataclasses.replace(strategy, factor=1).select(candidates, 2, _rng())
  np.testing.assert_array_equal(np.sort(batch.index), [0, 1])


def test_core_set_of_equal_points_still_picks_each_once():
  candidates = _embedded(np.ones((3, 2)), np.ones((1, 2)))
  batch = acquisition.create('coreset').select(candidates, 3, _rng())
  assert sorted(batch.index) == [0, 1, 2]


@pytest.mark.parametrize('name', ['coreset', 'coreset_cosine'])
def test_core_set_is_a_two_approximation_of_the_best_k_center(name):
  rng = np.random.default_rng(2)
  points = rng.normal(size=(9, 2)).astype(np.float32)
  unit = points / np.linalg.norm(points, axis=1, keepdims=True)
  space = points if name == 'coreset' else unit
  distance = np.linalg.norm(space[:, None] - space[None], axis=-1)

  def radius(centres):
    return distance[:, centres].min(axis=1).max()

  batch = acquisition.create(name).select(_embedded(points), 3, _rng())
  best = min(radius(list(c)) for c in itertools.combinations(range(9), 3))
  assert radius(list(batch.index)) <= 2 * best + 1e-6


def test_core_set_equals_a_brute_force_greedy():
  rng = np.random.default_rng(3)
  points = rng.normal(size=(12, 4)).astype(np.float32)
  labelled = rng.normal(size=(2, 4)).astype(np.float32)
  centres, expected = list(labelled), []
  for _ in range(5):
    gaps = [min(np.linalg.norm(p - c) for c in centres) for p in points]
    pick = int(np.argmax(gaps))
    expected.append(pick)
    centres.append(points[pick])
  batch = acquisition.create('coreset').select(
    _embedded(points, labelled), 5, _rng()
  )
  assert list(batch.index) == expected


def test_unknown_strategy():
  with pytest.raises(UserError, match='random, entropy'):
    acquisition.create('egl')
