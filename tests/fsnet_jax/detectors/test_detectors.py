"""Every detector keeps the protocol; each formula against scipy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import expit, logsumexp, softmax
from scipy.stats import entropy

from fsnet_jax.detectors import DETECTORS, ForwardPass
from fsnet_jax.learned_detectors import FITTED
from fsnet_jax.models.segmentation.protocol import SegmentationOutput

CLASSES = 19


def _forward(logits, failure_logits=None):
  said = np.asarray(logits)[..., 1]
  logits = jnp.asarray(logits, jnp.float32)
  if failure_logits is None:
    failure_logits = jnp.zeros(logits.shape[:3])
  return ForwardPass(
    images=jnp.zeros((*logits.shape[:3], 3)),
    segmentation=SegmentationOutput(
      logits=logits, features=jnp.zeros((logits.shape[0], 1, 1, 4))
    ),
    failure_logits=jnp.asarray(failure_logits, jnp.float32),
    failure_parts={
      name: jnp.asarray(said + number, jnp.float32)
      for number, name in enumerate(('joint', 'pixel', 'conv'))
    },
    flip_logits=logits[..., ::-1] / 3,
    dropout_logits=logits[..., ::-1] / 2,
    temperature=1.5,
    fitted={
      **{name: jnp.asarray(said, jnp.float32) for name in FITTED},
      'ensemble': jnp.asarray(np.stack([said, said / 2], -1), jnp.float32),
    },
  )


def _random(scale=3.0):
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(2, 4, 5, CLASSES)) * scale
  return logits, rng.normal(size=(2, 4, 5))


@pytest.mark.parametrize('name', DETECTORS)
@pytest.mark.parametrize('scale', [0.0, 1.0, 100.0, 1e4])
def test_contract(name, scale):
  detector = DETECTORS[name]
  logits, failure_logits = _random(scale)
  forward = _forward(logits, failure_logits * scale)
  score = np.asarray(detector.score(forward))
  assert detector.name == name and detector.title
  assert score.shape == (2, 4, 5) and score.dtype == np.float32
  assert np.isfinite(score).all()
  probability = detector.probability(forward)
  if probability is None:
    return
  probability = np.asarray(probability)
  assert (probability >= 0).all() and (probability <= 1).all()
  # The probability must rank as the score does.
  order = np.argsort(score, axis=None, kind='stable')
  assert (np.diff(probability.ravel()[order]) >= 0).all()


def test_formulas():
  logits, failure_logits = _random()
  forward = _forward(logits, failure_logits)
  probs = softmax(logits, axis=-1)
  miss = 1 - probs.max(-1)
  expected = {
    'msp': miss,
    'entropy': entropy(probs, axis=-1),
    'max_logit': -logits.max(-1),
    'msp_temperature': 1 - softmax(logits / 1.5, axis=-1).max(-1),
    'energy': -logsumexp(logits, axis=-1),
    'mc_dropout': entropy(softmax(logits / 2, axis=-1), axis=-1),
    'mc_dropout_synthcp': -(probs * np.log(probs + 1e-9)).sum(-1),
    'fsnet': failure_logits,
    'fsnet_msp': expit(failure_logits) + miss,
    'tcp': logits[..., 1],
    'tcp_msp': expit(logits[..., 1]) + miss,
    'tcp_synthcp': logits[..., 1],
    'tcp_synthcp_msp': expit(logits[..., 1]) + miss,
    'direct': logits[..., 1],
    'direct_msp': expit(logits[..., 1]) + miss,
    'synthcp': logits[..., 1],
    'synthcp_msp': expit(logits[..., 1]) + miss,
    'ensemble': logits[..., 1],
    'ensemble_mi': logits[..., 1] / 2,
    'energy_temperature': -1.5 * logsumexp(logits / 1.5, axis=-1),
    'tcp_shift': logits[..., 1],
    'direct_shift': logits[..., 1],
    'synthcp_shift': logits[..., 1],
    'obsnet': logits[..., 1],
    'class_logistic': logits[..., 1],
    'class_logistic_shift': logits[..., 1],
    'fsnet_joint': logits[..., 1],
    'fsnet_pixel': logits[..., 1] + 1,
    'fsnet_conv': logits[..., 1] + 2,
    'tta_flip': entropy(
      (probs + softmax(logits[..., ::-1] / 3, axis=-1)) / 2, axis=-1
    ),
  }
  assert set(expected) == set(DETECTORS)
  for name, value in expected.items():
    np.testing.assert_allclose(
      DETECTORS[name].score(forward), value, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize('name', ['tcp', 'tcp_synthcp'])
def test_each_tcp_listens_to_its_own_fit(name):
  logits, _ = _random()
  other = logits[..., 2].astype(np.float32)
  forward = _forward(logits)
  forward = forward.replace(fitted={**forward.fitted, name: other})
  said = {n: DETECTORS[n].score(forward) for n in ('tcp', 'tcp_synthcp')}
  np.testing.assert_array_equal(said.pop(name), other)
  assert (np.asarray(*said.values()) != other).any()
  miss = 1 - softmax(logits, axis=-1).max(-1)
  np.testing.assert_allclose(
    DETECTORS[f'{name}_msp'].score(forward), expit(other) + miss, rtol=1e-4
  )


def test_synthcps_entropy_of_no_dropout_ends_where_its_logarithm_does():
  # A probability of 0 costs nothing there: ln(0 + 1e-9) is finite.
  logits = np.zeros((1, 1, 2, CLASSES))
  logits[0, 0, :, 0] = [1e4, 15]
  score = DETECTORS['mc_dropout_synthcp'].score(_forward(logits))
  probs = softmax(logits, axis=-1)
  expected = -(probs * np.log(probs + 1e-9)).sum(-1)
  np.testing.assert_allclose(score, expected, atol=1e-6)
  plain = DETECTORS['entropy'].score(_forward(logits))
  assert 0 < float(plain[0, 0, 1] - score[0, 0, 1]) < 1e-6


def test_confident_pixels_are_not_tied():
  # In float32, 1 - p and log p have one value for all of these.
  logits = np.zeros((1, 1, 3, CLASSES))
  logits[0, 0, :, 0] = [22, 23, 24]
  score = np.asarray(DETECTORS['msp'].score(_forward(logits))).ravel()
  assert (np.diff(score) < 0).all() and (score > 0).all()


def test_ignorance_is_the_highest_entropy():
  score = DETECTORS['entropy'].score(_forward(np.zeros((1, 1, 1, CLASSES))))
  np.testing.assert_allclose(score, np.log(CLASSES), rtol=1e-6)
