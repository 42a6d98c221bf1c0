import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from segxal_jax.pool import stratified_folds


def _counts(strata, fold, count):
  """[folds, strata] images of each stratum in each fold."""
  _, index = np.unique(strata, return_inverse=True)
  result = np.zeros((count, index.max() + 1), int)
  np.add.at(result, (fold, index), 1)
  return result


@pytest.mark.parametrize('count', [2, 3, 5])
@pytest.mark.parametrize('seed', [0, 1, 2])
def test_strata_are_shared_out_as_scikit_learn_does(count, seed):
  rng = np.random.default_rng(seed)
  # Every stratum at least once a fold, its first images in ascending order:
  # scikit-learn numbers strata by their first image.
  strata = np.concatenate(
    [np.repeat(np.arange(4), count), rng.integers(0, 4, 41 + seed)]
  )
  mine = stratified_folds.assign(strata, count, rng)
  theirs = np.empty(len(strata), int)
  split = StratifiedKFold(count).split(np.zeros(len(strata)), strata)
  for number, (_, held_out) in enumerate(split):
    theirs[held_out] = number
  np.testing.assert_array_equal(
    _counts(strata, mine, count), _counts(strata, theirs, count)
  )


@pytest.mark.parametrize(
  ('strata', 'count'),
  [
    (np.full(7, stratified_folds.NONE), 3),  # one stratum
    (np.arange(7), 3),  # each image its own
    (np.arange(4), 4),  # an image a fold
    (np.array([2, 2, 2, 5]), 3),  # fewer than folds
  ],
)
def test_folds_and_strata_differ_by_an_image_at_most(strata, count):
  fold = stratified_folds.assign(strata, count, np.random.default_rng(0))
  sizes = np.bincount(fold, minlength=count)
  assert sizes.sum() == len(strata) and np.ptp(sizes) <= 1
  assert np.ptp(_counts(strata, fold, count), axis=0).max() <= 1


def _label(*runs):
  """One row of pixels from pairs of class and length."""
  return np.concatenate([np.full(n, c, np.uint8) for c, n in runs])[None]


def test_strata_by_hand():
  maps = [
    _label((0, 8)),  # road, in all four images, is not rare
    _label((0, 1), (1, 3), (2, 4)),  # 2 outweighs 1
    _label((0, 6), (1, 1), (255, 1)),
    _label((0, 2), (2, 3), (1, 3)),  # a draw, but 1 is in three images
  ]
  # Class 1 is in three of four images, class 2 in two.
  np.testing.assert_array_equal(
    stratified_folds.strata(maps, 4), [-1, 2, -1, 2]
  )


def test_strata_of_nothing_and_of_void():
  assert stratified_folds.strata([], 4).shape == (0,)
  void = np.full((2, 3), 255, np.uint8)
  np.testing.assert_array_equal(
    stratified_folds.strata([void, void], 4), [-1, -1]
  )


def test_a_draw_goes_to_the_lower_class():
  maps = [_label((3, 2), (1, 2)), _label((0, 4)), _label((2, 4))]
  np.testing.assert_array_equal(stratified_folds.strata(maps, 4), [1, 0, 2])
