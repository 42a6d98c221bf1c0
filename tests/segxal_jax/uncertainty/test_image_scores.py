"""Numbers of an image that are no mean of a map, by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from segxal_jax.uncertainty import image_scores, pixelwise


def _image(classes, doubt):
  """Logits that predict a class, with an entropy that rises with `doubt`."""
  classes, doubt = np.asarray(classes), np.asarray(doubt, np.float32)
  logits = 8.0 * (1 - doubt[..., None]) * np.eye(3, dtype=np.float32)[classes]
  return jnp.asarray(logits)[None]


def test_each_predicted_class_counts_alike():
  classes = [[0, 0, 0], [0, 0, 1]]
  logits = _image(classes, [[0.2, 0.2, 0.2], [0.2, 0.2, 0.8]])
  entropy = np.asarray(pixelwise.entropy(logits))[0]
  usable = np.ones((1, 2, 3), bool)
  value = image_scores.balanced_entropy(logits, jnp.asarray(usable))
  expected = (entropy[0, 0] + entropy[1, 2]) / 2
  np.testing.assert_allclose(value, [expected], rtol=1e-6)
  assert expected > entropy.mean() + 0.1
  # What is not usable counts in no class.
  usable[0, 1, 2] = False
  value = image_scores.balanced_entropy(logits, jnp.asarray(usable))
  np.testing.assert_allclose(value, [entropy[0, 0]], rtol=1e-6)


def test_outlines_are_what_is_paid():
  flat = _image(np.zeros((4, 5), int), np.full((4, 5), 0.5))
  stripes = _image(np.tile([0, 1, 0, 1, 0], (4, 1)), np.full((4, 5), 0.5))
  usable = jnp.ones((1, 4, 5), bool)
  entropy = float(pixelwise.entropy(flat)[0, 0, 0])
  # Four edges in each of four rows, of 20 pixels.
  np.testing.assert_allclose(
    image_scores.entropy_per_click(stripes, usable), [entropy / 0.8], rtol=1e-5
  )
  np.testing.assert_allclose(
    image_scores.entropy_per_click(flat, usable), [entropy / 0.01], rtol=1e-5
  )


@pytest.mark.parametrize('name', sorted(image_scores.IMAGE_SCORES))
def test_an_image_without_a_usable_pixel(name):
  logits = _image([[0, 1]], [[0.5, 0.5]])
  score = image_scores.IMAGE_SCORES[name](logits, jnp.zeros((1, 1, 2), bool))
  np.testing.assert_array_equal(score, [0.0])


def test_true_errors():
  logits = _image([[0, 1, 2]], [[0.1, 0.1, 0.1]])
  label = jnp.array([[[0, 2, 255]]], jnp.uint8)
  np.testing.assert_array_equal(
    image_scores.true_error(logits, label), [[[0.0, 1.0, 0.0]]]
  )
