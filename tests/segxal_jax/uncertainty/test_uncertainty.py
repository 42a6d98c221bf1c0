import jax.numpy as jnp
import numpy as np
import pytest

from segxal_jax.uncertainty import pixelwise


def _logits(*probabilities):
  return jnp.log(jnp.array(probabilities, jnp.float32)).reshape(1, 1, 1, -1)


def test_entropy_in_bits_over_log2_of_classes():
  # H = 1/2 * 1 + 2 * 1/4 * 2 = 1.5 bits of log2 3.
  value = pixelwise.entropy(_logits(0.5, 0.25, 0.25))
  np.testing.assert_allclose(value, 1.5 / np.log2(3), rtol=1e-6)


def test_uniform_is_one_and_certain_is_zero():
  uniform = jnp.zeros((1, 2, 2, 19))
  np.testing.assert_allclose(pixelwise.entropy(uniform), 1.0, rtol=1e-6)
  np.testing.assert_allclose(pixelwise.margin(uniform), 1.0)
  np.testing.assert_allclose(
    pixelwise.least_confidence(uniform), 1.0, rtol=1e-6
  )
  sure = _logits(1.0, 0.0, 0.0)
  for measure in (
    pixelwise.entropy,
    pixelwise.margin,
    pixelwise.least_confidence,
  ):
    np.testing.assert_array_equal(measure(sure), 0.0)


def test_margin_and_least_confidence():
  logits = _logits(0.5, 0.3, 0.2)
  np.testing.assert_allclose(pixelwise.margin(logits), 0.8, rtol=1e-6)
  np.testing.assert_allclose(
    pixelwise.least_confidence(logits), 0.5 * 3 / 2, rtol=1e-6
  )


def test_two_equal_winners_have_the_greatest_margin_score():
  np.testing.assert_allclose(
    pixelwise.margin(_logits(0.4, 0.4, 0.2)), 1.0, rtol=1e-6
  )


@pytest.mark.parametrize(
  'measure',
  [pixelwise.entropy, pixelwise.margin, pixelwise.least_confidence],
)
def test_one_class_leaves_no_doubt(measure):
  np.testing.assert_array_equal(measure(jnp.ones((1, 2, 3, 1))), 0.0)


def test_large_logits_stay_finite():
  logits = jnp.array([1e4, -1e4, 0.0]).reshape(1, 1, 1, 3)
  assert np.isfinite(pixelwise.entropy(logits)).all()


def test_patch_histogram_entropy_by_hand():
  prediction = np.zeros((1, 4, 6), np.int32)
  prediction[0, :2, 0] = 1  # patch (0, 0): two of four pixels
  prediction[0, :, 4] = np.arange(4)  # patches (., 2): classes 0 1 and 2 3
  maps = pixelwise.patch_histogram_entropy(
    jnp.asarray(prediction), num_classes=4, patch=2
  )
  # Two classes in equal parts: 1 bit of log2 4 = 2.
  np.testing.assert_allclose(maps[0, :2, :2], 0.5, rtol=1e-6)
  np.testing.assert_array_equal(maps[0, :, 2:4], 0.0)
  # Bottom right: 0 twice, 2 and 3 once: 1.5 bits of 2.
  np.testing.assert_allclose(maps[0, 2:, 4:], 0.75, rtol=1e-6)


def test_patch_cut_by_the_border_counts_its_own_pixels():
  prediction = jnp.array([[[0, 0, 1], [0, 0, 0]]])
  maps = pixelwise.patch_histogram_entropy(prediction, 2, patch=2)
  np.testing.assert_allclose(maps[0, :, 2], 1.0)
