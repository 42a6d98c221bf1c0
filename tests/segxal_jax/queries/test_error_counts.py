"""How many errors lie where a map is highest, against counting them."""

import itertools

import numpy as np
import pytest

from common_lib.class_table import VOID
from segxal_jax.queries import error_counts
from segxal_jax.queries.regions import Region
from segxal_jax.queries.storage import Maps
from segxal_jax.report import error_shares


def by_every_order(values, wrong, area):
  """Mean over all orders of equal values; a last pixel counts in part."""
  wanted = area * len(values)
  counts = []
  for order in itertools.permutations(range(len(values))):
    if any(values[a] < values[b] for a, b in itertools.pairwise(order)):
      continue
    weights = np.clip(wanted - np.arange(len(values)), 0, 1)
    counts.append((weights * wrong[list(order)]).sum())
  return np.mean(counts)


@pytest.mark.parametrize('area', [0.1, 0.3, 0.5, 1.0])
@pytest.mark.parametrize('distinct', [1, 2, 3, 6])
def test_equal_values_are_divided_as_chance_would(distinct, area):
  rng = np.random.default_rng(distinct)
  values = rng.integers(0, distinct, 7) / 4.0
  wrong = rng.random(7) < 0.5
  found = error_counts.errors_inside(values, wrong, area)
  assert found == pytest.approx(by_every_order(values, wrong, area))


def test_a_map_that_knows_nothing_has_its_areas_share():
  wrong = np.random.default_rng(0).random(1000) < 0.2
  flat = error_counts.errors_inside(np.zeros(1000), wrong)
  assert flat == pytest.approx(0.1 * wrong.sum())
  perfect = error_counts.errors_inside(wrong.astype(float), wrong, 0.5)
  assert perfect == wrong.sum()


def question(prediction, entropy, usable=None, guide=None):
  prediction = np.asarray(prediction, np.uint8)
  shape = prediction.shape
  return Maps(
    image=np.zeros((*shape, 3), np.uint8),
    prediction=prediction,
    confidence=np.ones(shape, np.float32),
    maps={'entropy': np.asarray(entropy, np.float32)},
    usable=np.ones(shape, bool) if usable is None else usable,
    segments=np.arange(prediction.size).reshape(shape) // 5,
    regions=(Region(id=0, score=1.0, row=0, column=0),),
    guide=guide,
  )


def test_void_and_the_ego_vehicle_count_nowhere():
  # Ten pixels with a label, one of them in the tenth with the highest entropy.
  truth = np.zeros((2, 7), np.uint8)
  truth[0, :2] = VOID
  usable = np.ones((2, 7), bool)
  usable[1, -2:] = False
  prediction = np.ones((2, 7), np.uint8)
  prediction[0, 3:5] = 0
  entropy = np.linspace(0, 1, 14).reshape(2, 7)
  entropy[0, 0] = 2.0
  counts = error_counts.of_image(question(prediction, entropy, usable), truth)
  assert (counts.pixels, counts.errors) == (10, 8)
  assert counts.inside == {'entropy': 1.0, 'perfect': 1.0}
  # The asked region is the first five pixels, of which three count.
  assert (counts.asked_pixels, counts.asked_errors) == (3, 1)
  shares = counts.shares()
  assert shares['maps'] == {'entropy': 1 / 8, 'perfect': 1 / 8}
  assert shares['asked'] == {'area': 0.3, 'errors': 1 / 8}


def test_images_are_added_by_their_errors():
  truth = np.zeros((2, 5), np.uint8)
  one = np.zeros((2, 5))
  one[0, 0] = 1
  many = np.ones((2, 5))
  entropy = np.arange(10.0)[::-1].reshape(2, 5)
  guide = -entropy
  total = error_counts.added(
    error_counts.of_image(question(errors, entropy, guide=guide), truth)
    for errors in (one, many)
  )
  assert (total.images, total.errors) == (2, 11)
  assert total.inside == {'entropy': 2.0, 'guide': 1.0, 'perfect': 2.0}
  # What one of them lacks says nothing of all.
  without = error_counts.of_image(question(one, entropy), truth)
  assert set(error_counts.added([total, without]).inside) == {
    'entropy',
    'perfect',
  }


def test_nothing_to_know():
  truth = np.full((2, 5), VOID, np.uint8)
  maps = question(np.zeros((2, 5)), np.zeros((2, 5)))
  assert error_counts.of_image(maps, truth) is None
  right = error_counts.of_image(maps, np.zeros((2, 5), np.uint8))
  assert right.errors == 0 and right.shares() is None
  assert error_counts.added([]) is None


def test_every_map_has_a_title():
  assert tuple(error_shares.TITLES) == error_counts.NAMES
