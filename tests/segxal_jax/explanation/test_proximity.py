import numpy as np
import pytest

from segxal_jax.explanation import proximity as p

ALL = (0.0, 100.0)


def test_metric_depth_is_inverted():
  near = p.proximity(np.array([[1.0, 2.0, 4.0]]), percentiles=ALL)
  # 1, 1/2, 1/4 scaled by their extremes.
  np.testing.assert_allclose(near, [[1.0, 1 / 3, 0.0]], rtol=1e-6)


def test_inverse_depth_is_taken_as_it_is():
  near = p.proximity(
    np.array([[10.0, 5.0, 0.0]]), inverse=True, percentiles=ALL
  )
  np.testing.assert_allclose(near, [[1.0, 0.5, 0.0]])


def test_the_bonnet_does_not_set_the_scale():
  depth = np.array([[1.0, 2.0, 4.0], [0.2, 0.2, 0.2]])
  usable = np.array([[True] * 3, [False] * 3])
  near = p.proximity(depth, usable, percentiles=ALL)
  np.testing.assert_allclose(near[0], [1.0, 1 / 3, 0.0], rtol=1e-6)
  np.testing.assert_array_equal(near[1], 0.0)


def test_percentiles_clip_a_single_outlier():
  depth = np.concatenate([[0.01], np.linspace(5, 50, 999)])[None]
  near = p.proximity(depth)
  assert near[0, 0] == 1.0 and near[0, 15] == 1.0
  assert near.min() == 0.0


@pytest.mark.parametrize(
  'depth',
  [
    np.full((2, 2), np.nan),
    np.full((2, 2), 7.0),
    np.array([[np.nan, 3.0], [np.inf, 3.0]]),
  ],
)
def test_without_contrast_nothing_is_near(depth):
  assert not p.proximity(depth).any()


def test_zero_depth_is_finite():
  assert np.isfinite(p.proximity(np.array([[0.0, 1.0, 2.0]]))).all()


def test_otsu_splits_two_levels():
  values = np.array([[0.2] * 5 + [0.8] * 5])
  assert 0.2 < p.otsu_threshold(values) <= 0.8 + 1 / 510
  near = p.near_field(values.astype(np.float32), 'otsu')
  np.testing.assert_array_equal(near[0] > 0, [False] * 5 + [True] * 5)


def test_otsu_without_contrast_keeps_everything():
  values = np.full((2, 2), 0.5, np.float32)
  assert p.otsu_threshold(values) == 0.0
  np.testing.assert_array_equal(p.near_field(values, 'otsu'), values)
  zero = np.zeros((2, 2), np.float32)
  np.testing.assert_array_equal(p.near_field(zero, 'otsu'), zero)


def test_soft_attention_is_proximity_itself():
  near = np.array([[0.5, 0.0]], np.float32)
  np.testing.assert_array_equal(p.near_field(near, 'soft'), near)
  with pytest.raises(ValueError):
    p.near_field(near, 'hard')
