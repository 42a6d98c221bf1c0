"""Deletion and insertion, against areas worked out by hand."""

import numpy as np
import pytest

from benchmarks.explain import faithfulness

SHARES = np.linspace(0, 1, 21)
SIZE = (10, 12)


def _rng():
  return np.random.default_rng(0)


def _image(rng):
  """A network that looks at a fifth of the image alone, and that fifth."""
  seen = np.zeros(SIZE, bool)
  seen.ravel()[rng.permutation(seen.size)[: seen.size // 5]] = True

  def score(images):
    return images[..., 0][:, seen].mean(axis=1)

  return seen, score


def _areas(score, values, usable):
  when = faithfulness.ranks(values, usable, _rng())[None]
  images = np.ones((1, *SIZE, 3), np.float32)
  both = faithfulness.curves(score, images, images * 0, when, SHARES)
  return [float(faithfulness.area(one, SHARES)[0]) for one in both]


def test_a_map_that_knows_has_the_smallest_deletion():
  seen, score = _image(np.random.default_rng(1))
  usable = np.ones(SIZE, bool)
  # What counts is gone, or back, after a fifth of the pixels.
  assert _areas(score, seen * 1.0, usable) == pytest.approx([0.1, 0.9])
  assert _areas(score, seen * -1.0, usable) == pytest.approx([0.9, 0.1])


def test_equal_values_are_moved_as_chance_would():
  seen, score = _image(np.random.default_rng(2))
  found = _areas(score, np.zeros(SIZE), np.ones(SIZE, bool))
  np.testing.assert_allclose(found, 0.5, atol=0.1)


def test_what_is_not_usable_is_never_moved():
  seen, score = _image(np.random.default_rng(3))
  usable = ~seen
  assert _areas(score, seen * 1.0, usable) == pytest.approx([1.0, 1.0])
  when = faithfulness.ranks(seen * 1.0, usable, _rng())
  assert (when[seen] > 1).all() and when[usable].max() < 1
  assert len(np.unique(when[usable])) == usable.sum()


def test_the_highest_come_first():
  values = np.random.default_rng(4).random(SIZE)
  when = faithfulness.ranks(values, np.ones(SIZE, bool), _rng())
  order = np.argsort(when.ravel())
  np.testing.assert_array_equal(order, np.argsort(-values.ravel()))


def test_maps_that_know_nothing_are_as_coarse_as_they_say():
  maps = faithfulness.chance_maps((2, *SIZE), (2, 3), _rng())
  assert maps['chance'].shape == maps['pixels'].shape == (2, *SIZE)
  steps = {name: np.abs(np.diff(one)).mean() for name, one in maps.items()}
  assert steps['chance'] < steps['pixels'] / 2


def test_the_table_is_paired_by_image():
  chance = np.array([0.5, 0.7]), np.array([0.6, 0.6])
  areas = {'cam': (chance[0] - 0.1, chance[1] + 0.2), 'chance': chance}
  rows = faithfulness.table(areas)
  deletion, insertion, differences = rows['cam']
  assert (deletion, insertion) == pytest.approx((0.5, 0.8))
  for (mean, half), expected in zip(differences, (-0.1, 0.2), strict=True):
    assert mean == pytest.approx(expected)
    assert half == pytest.approx(0, abs=1e-9)
  assert rows['chance'][2] is None
