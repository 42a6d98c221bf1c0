"""Fitted weights against scikit-learn, and where there is nothing to learn."""

import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression

from segxal_jax.explanation import mask_weights
from segxal_jax.explanation.error_mask import explainable_error_mask
from segxal_jax.explanation.step import weighted_mask


def _pixels(coefficients, seed=0, count=4000):
  rng = np.random.default_rng(seed)
  parts = rng.random((count, len(coefficients)))
  logits = parts @ np.array(coefficients) - 2
  wrong = rng.random(count) < 1 / (1 + np.exp(-logits))
  return parts, wrong


def test_equals_logistic_regression():
  parts, wrong = _pixels((3.0, 1.0, 2.0))
  reference = LogisticRegression(C=np.inf, tol=1e-8).fit(parts, wrong)
  expected = reference.coef_[0] / reference.coef_.sum()
  got = mask_weights.fit(parts, wrong)
  np.testing.assert_allclose(got, expected, atol=1e-3)
  # The scale of a map does not change what it is worth.
  scaled = mask_weights.fit(parts * [1.0, 10.0, 1.0], wrong)
  ratio = scaled * [1.0, 10.0, 1.0]
  np.testing.assert_allclose(ratio / ratio.sum(), got, atol=1e-3)


def test_a_part_that_misleads_gets_no_weight():
  parts, wrong = _pixels((4.0, -3.0))
  np.testing.assert_allclose(mask_weights.fit(parts, wrong), [1, 0])
  parts[:, 1] = 0.5
  np.testing.assert_allclose(mask_weights.fit(parts, wrong), [1, 0])


def test_nothing_to_learn():
  parts, wrong = _pixels((-4.0, -3.0))
  assert mask_weights.fit(parts, wrong) is None
  assert mask_weights.fit(parts, np.zeros_like(wrong)) is None
  assert mask_weights.fit(parts, np.ones_like(wrong)) is None
  assert mask_weights.fit(np.ones_like(parts), wrong) is None
  assert mask_weights.fit(parts[:0], wrong[:0]) is None


def test_weights_given_late_make_the_same_mask():
  rng = np.random.default_rng(1)
  maps = {
    name: jnp.asarray(rng.random((2, 3, 4)), jnp.float32)
    for name in ('pae', 'entropy', 'failure')
  }
  weights = jnp.asarray([[0.2, 0.3, 0.5], [1.0, 0.0, 3.0]])
  got = weighted_mask(maps, weights)
  for row, (alpha, beta, gamma) in enumerate(weights.tolist()):
    expected = explainable_error_mask(
      maps['pae'], maps['entropy'], alpha, beta, gamma, maps['failure']
    )
    np.testing.assert_allclose(got[row], expected[row], rtol=1e-5)
  del maps['failure']
  expected = explainable_error_mask(maps['pae'], maps['entropy'], 0.2, 0.3)
  np.testing.assert_allclose(weighted_mask(maps, weights)[0], expected[0], 1e-5)
