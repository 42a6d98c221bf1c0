import jax.numpy as jnp
import numpy as np
import pytest

from segxal_jax.explanation.error_mask import (
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
