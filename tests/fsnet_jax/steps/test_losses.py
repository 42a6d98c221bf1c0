"""L1 and L2 against PyTorch-free references written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import log_expit, logsumexp
from sklearn.metrics import log_loss

from fsnet_jax.steps import losses

SHAPE = (2, 5, 7)


def _random(seed, void_share=0.2, classes=4):
  rng = np.random.default_rng(seed)
  logits = rng.normal(size=(*SHAPE, classes)).astype(np.float32) * 3
  labels = rng.integers(0, classes, SHAPE)
  valid = rng.random(SHAPE) >= void_share
  labels = np.where(valid, labels, 255).astype(np.uint8)
  return jnp.asarray(logits), jnp.asarray(labels), jnp.asarray(valid)


def test_segmentation_loss_is_sklearns_log_loss():
  logits, labels, valid = _random(0)
  keep = np.asarray(valid)
  log_probs = np.asarray(logits, np.float64)
  log_probs -= logsumexp(log_probs, axis=-1, keepdims=True)
  expected = log_loss(
    np.asarray(labels)[keep], np.exp(log_probs[keep]), labels=range(4)
  )
  got = losses.segmentation_loss(logits, labels, valid)
  np.testing.assert_allclose(got, expected, rtol=1e-5)
  weights = np.random.default_rng(1).random(SHAPE)
  weights /= weights[keep].mean()
  expected = log_loss(
    np.asarray(labels)[keep],
    np.exp(log_probs[keep]),
    labels=range(4),
    sample_weight=weights[keep],
  )
  got = losses.segmentation_loss(logits, labels, valid, jnp.asarray(weights))
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_void_labels_change_neither_loss_nor_gradient():
  logits, labels, valid = _random(1)
  other = jnp.where(valid, labels, 3)
  loss, grad = jax.value_and_grad(losses.segmentation_loss)(
    logits, labels, valid
  )
  assert np.isfinite(grad).all()
  assert (np.asarray(grad)[~np.asarray(valid)] == 0).all()
  assert losses.segmentation_loss(logits, other, valid) == loss


def test_all_void_gives_zero_loss_and_zero_gradient():
  logits, labels, _ = _random(2)
  nothing = jnp.zeros(SHAPE, bool)
  loss, grad = jax.value_and_grad(losses.segmentation_loss)(
    logits, labels, nothing
  )
  assert loss == 0 and (np.asarray(grad) == 0).all()
  score = logits[..., 0]
  loss, grad = jax.value_and_grad(losses.failure_loss)(score, nothing, nothing)
  assert loss == 0 and (np.asarray(grad) == 0).all()


def test_failure_target_is_where_the_argmax_is_wrong():
  logits = jnp.asarray([[[[0.0, 1.0], [2.0, 1.0]]]])
  labels = jnp.asarray([[[1, 1]]], jnp.uint8)
  target = losses.failure_target(logits, labels)
  assert np.array_equal(target, [[[False, True]]])


def _reference_l2(scores, target, valid, form):
  scores, target = scores[valid].astype(np.float64), target[valid]
  beta = np.clip(1 - target.mean(), 0.5, 0.99)
  weights = (beta, 1 - beta) if form == 'balanced' else (beta / (1 - beta), 1)
  terms = np.where(
    target,
    -weights[0] * log_expit(scores),
    -weights[1] * log_expit(-scores),
  )
  return terms.mean()


@pytest.mark.parametrize('form', ['balanced', 'pos_weight'])
@pytest.mark.parametrize('error_rate', [0.001, 0.1, 0.5, 0.95])
def test_failure_loss_is_the_written_out_formula(form, error_rate):
  rng = np.random.default_rng(3)
  scores = rng.normal(size=(2, 50, 50)).astype(np.float32) * 4
  target = rng.random(scores.shape) < error_rate
  valid = rng.random(scores.shape) < 0.8
  got = losses.failure_loss(
    jnp.asarray(scores), jnp.asarray(target), jnp.asarray(valid), form
  )
  expected = _reference_l2(scores, target, valid, form)
  np.testing.assert_allclose(got, expected, rtol=1e-5)


def test_the_two_forms_differ_by_one_minus_beta():
  rng = np.random.default_rng(4)
  scores = jnp.asarray(rng.normal(size=SHAPE), jnp.float32)
  target = jnp.asarray(rng.random(SHAPE) < 0.2)
  valid = jnp.ones(SHAPE, bool)
  beta = 1 - np.asarray(target).mean()
  balanced = losses.failure_loss(scores, target, valid, 'balanced')
  weighted = losses.failure_loss(scores, target, valid, 'pos_weight')
  np.testing.assert_allclose(balanced, weighted * (1 - beta), rtol=1e-5)


def test_batch_without_error_is_skipped_and_extreme_logits_stay_finite():
  scores = jnp.full(SHAPE, 1e4)
  valid = jnp.ones(SHAPE, bool)
  assert losses.failure_loss(scores, jnp.zeros(SHAPE, bool), valid) == 0
  target = jnp.zeros(SHAPE, bool).at[0, 0, 0].set(True)
  loss, grad = jax.value_and_grad(losses.failure_loss)(scores, target, valid)
  assert np.isfinite(loss) and np.isfinite(grad).all()


def test_unknown_form_is_named():
  mask = jnp.ones(SHAPE, bool)
  with pytest.raises(ValueError, match="'focal'"):
    losses.failure_loss(jnp.zeros(SHAPE), mask, mask, 'focal')


def test_expected_scale_at_ten_percent_errors():
  # At p = 0.5 the balanced form is 2 e (1 - e) ln 2.
  target = jnp.zeros((1, 10, 10), bool).at[0, 0].set(True)
  valid = jnp.ones((1, 10, 10), bool)
  loss = losses.failure_loss(jnp.zeros((1, 10, 10)), target, valid)
  np.testing.assert_allclose(loss, 2 * 0.1 * 0.9 * np.log(2), rtol=1e-5)
