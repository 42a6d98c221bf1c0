import jax.numpy as jnp
import numpy as np
import pytest

from segxal_jax.explanation.error_mask import (
  by_cost,
  explainable_error_mask,
  image_score,
)

CAM = jnp.array([[0.0, 1.0]])
ENTROPY = jnp.array([[0.5, 0.25]])


def test_equal_weights_are_the_papers():
  np.testing.assert_allclose(
    explainable_error_mask(CAM, ENTROPY), [[0.25, 0.625]]
  )


def test_ablations_keep_the_scale():
  np.testing.assert_allclose(
    explainable_error_mask(CAM, ENTROPY, 0.5, 0.0), CAM
  )
  np.testing.assert_allclose(
    explainable_error_mask(CAM * jnp.nan, ENTROPY, 0.0, 0.5), ENTROPY
  )


def test_failure_score_joins():
  mask = explainable_error_mask(
    CAM, ENTROPY, 0.25, 0.25, 0.5, jnp.array([[1.0, 0.0]])
  )
  np.testing.assert_allclose(mask, [[0.625, 0.3125]])


@pytest.mark.parametrize(
  'weights', [(0.0, 0.0, 0.0), (-1.0, 2.0, 0.0), (0.5, 0.5, 0.5)]
)
def test_weights_that_make_no_sense(weights):
  with pytest.raises(ValueError):
    explainable_error_mask(CAM, ENTROPY, *weights)


def test_score_is_the_mean_of_usable_pixels():
  mask = jnp.array([[[1.0, 0.5], [0.25, 7.0]]])
  usable = jnp.array([[[True, True], [True, False]]])
  np.testing.assert_allclose(image_score(mask, usable), [1.75 / 3])
  # The top third of three pixels is one; the top half is two.
  np.testing.assert_allclose(image_score(mask, usable, 1 / 3), [1.0])
  np.testing.assert_allclose(image_score(mask, usable, 0.5), [0.75])


@pytest.mark.parametrize('share', [1.0, 0.1])
def test_image_without_usable_pixels_scores_zero(share):
  nothing = jnp.zeros((1, 2, 2), bool)
  np.testing.assert_array_equal(
    image_score(jnp.ones((1, 2, 2)), nothing, share), 0.0
  )


def test_near_errors_cost_more():
  mask, near = jnp.array([[0.4, 0.4, 0.8]]), jnp.array([[0.0, 1.0, 0.5]])
  np.testing.assert_array_equal(by_cost(mask, near, 0.0), mask)
  # Three times as much where it is nearest, twice half-way there.
  found = by_cost(mask, near, 2.0)
  np.testing.assert_allclose(found, [[0.4 / 3, 0.4, 0.8 * 2 / 3]], rtol=1e-6)
  assert float(by_cost(jnp.ones((1, 3)), jnp.ones((1, 3)), 5.0).max()) == 1
  with pytest.raises(ValueError, match='must not be negative'):
    by_cost(mask, near, -1.0)
