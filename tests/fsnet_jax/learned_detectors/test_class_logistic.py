"""The regression by class against scikit-learn, and where it has no data."""

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.linear_model import LogisticRegression

from fsnet_jax.learned_detectors.corrections import class_logistic

CLASSES = 5


def _sample(seed=0, count=4000):
  """Pixels whose chance of being wrong depends on class and row."""
  rng = np.random.default_rng(seed)
  own = rng.normal(-2, 2, count).astype(np.float32)
  first = rng.integers(CLASSES - 1, size=count)  # The last never occurs.
  rows = rng.uniform(-0.5, 0.5, count).astype(np.float32)
  slope, offset = np.array([0.5, 1, 2, 1.0]), np.array([-1, 0, 1, 2.0])
  odds = slope[first] * own + offset[first] + 1.5 * rows
  wrong = rng.random(count) < 1 / (1 + np.exp(-odds))
  return own, first, rows, wrong.astype(np.float32)


def _solve(own, first, rows, wrong, valid):
  arrays = map(jnp.asarray, (own, first, rows, wrong, valid))
  # Not compiled once for all: the penalty is read while it is traced.
  return jax.jit(lambda *a: class_logistic.solve(*a, CLASSES))(*arrays)


def test_equals_scikit_learn(monkeypatch):
  # Hardly penalised, here and there.
  monkeypatch.setattr(class_logistic, '_RIDGE', 1e-4)
  own, first, rows, wrong = _sample()
  valid = (np.random.default_rng(1).random(len(own)) < 0.8).astype(np.float32)
  found = _solve(own, first, rows, wrong, valid)
  one_hot = np.eye(CLASSES)[first]
  design = np.hstack([one_hot * own[:, None], one_hot, rows[:, None]])
  model = LogisticRegression(
    C=1e4, fit_intercept=False, solver='newton-cholesky', tol=1e-9
  )
  model.fit(design, wrong, sample_weight=valid)
  mine = np.concatenate([found['slope'], found['offset'], found['row'][None]])
  used = [0, 1, 2, 3, 5, 6, 7, 8, 10]
  np.testing.assert_allclose(mine[used], model.coef_[0][used], atol=2e-3)
  scores = class_logistic.log_odds(found, *map(jnp.asarray, (own, first, rows)))
  np.testing.assert_allclose(scores, model.decision_function(design), atol=5e-3)


def test_a_class_without_pixels_stays_msp():
  sample = _sample()
  found = _solve(*sample, np.ones(len(sample[0]), np.float32))
  assert found['slope'][-1] == 1 and found['offset'][-1] == 0


def test_no_pixels_at_all_are_msp():
  sample = _sample(count=100)
  found = _solve(*sample, np.zeros(100, np.float32))
  expected = class_logistic.initial_weights(CLASSES)
  jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_without_errors_the_weights_are_finite():
  own, first, rows, _ = _sample(count=500)
  none = np.zeros(500, np.float32)
  found = _solve(own, first, rows, none, np.ones(500, np.float32))
  assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(found))
  odds = class_logistic.log_odds(found, *map(jnp.asarray, (own, first, rows)))
  assert np.mean(jax.nn.sigmoid(odds)) < 0.02


def test_rows_run_from_top_to_bottom():
  rows = class_logistic.rows_of((1, 4, 2))
  np.testing.assert_allclose(rows[0, :, 1], [-0.375, -0.125, 0.125, 0.375])
