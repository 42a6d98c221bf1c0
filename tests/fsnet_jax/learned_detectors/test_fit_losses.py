"""Losses of the learned confidences, against torch and scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import jaccard_score
from torch.nn import functional as F

from fsnet_jax.learned_detectors import cost, losses
from fsnet_jax.learned_detectors.cost import Cost
from fsnet_jax.learned_detectors.ensemble import entropy_of_mean

VOID = 255


def _problem():
  rng = np.random.default_rng(0)
  logits = 3 * rng.normal(size=(2, 5, 6, 4))
  labels = rng.integers(0, 4, (2, 5, 6))
  labels[0, :2] = VOID
  said = rng.normal(size=(2, 5, 6)) * 3
  return logits, labels, labels != VOID, said


def _ours(*arrays):
  return [jnp.asarray(a) if a.dtype == bool else _small(a) for a in arrays]


def _small(a):
  return jnp.asarray(a, jnp.int32 if a.dtype.kind == 'i' else jnp.float32)


def test_true_class_probability():
  logits, labels, valid, _ = _problem()
  found = losses.true_class_probability(*_ours(logits, labels))
  picked = np.take_along_axis(
    softmax(logits, -1), np.where(valid, labels, 0)[..., None], -1
  )[..., 0]
  np.testing.assert_allclose(np.asarray(found)[valid], picked[valid], rtol=1e-5)


def test_tcp_loss():
  _, _, valid, said = _problem()
  target = np.random.default_rng(1).random(said.shape)
  found = losses.tcp_loss(*_ours(said, target, valid))
  mask = torch.tensor(valid)
  expected = F.mse_loss(
    torch.sigmoid(torch.tensor(said)) * mask, torch.tensor(target) * mask
  )
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  nothing = losses.tcp_loss(*_ours(said, target, np.zeros_like(valid)))
  assert float(nothing) == 0


def test_correctness_loss():
  logits, labels, valid, said = _problem()
  found = losses.correctness_loss(*_ours(said, logits, labels, valid))
  right = torch.tensor((logits.argmax(-1) == labels).astype(float))
  terms = F.binary_cross_entropy(
    torch.sigmoid(torch.tensor(said)), right, reduction='none'
  )
  weight = torch.softmax(torch.tensor(logits), -1).max(-1).values ** 2
  expected = (terms * weight * torch.tensor(valid)).mean()
  np.testing.assert_allclose(found, expected.item(), rtol=1e-5)
  # No overflow where the network is sure and wrong.
  sure = losses.correctness_loss(*_ours(1e4 * said, logits, labels, valid))
  assert np.isfinite(sure)


def test_ious_and_their_loss():
  logits, labels, valid, _ = _problem()
  labels[1][labels[1] == 3] = 2
  prediction = logits.argmax(-1)
  ious, present = losses.class_ious(*_ours(prediction, labels, valid), 4)
  expected = np.stack(
    [
      jaccard_score(
        labels[i][valid[i]],
        prediction[i][valid[i]],
        labels=range(4),
        average=None,
        zero_division=0,
      )
      for i in range(2)
    ]
  )
  np.testing.assert_allclose(ious, expected, rtol=1e-6)
  assert np.asarray(present).tolist() == [[True] * 4, [True] * 3 + [False]]
  guess = np.random.default_rng(2).normal(size=(2, 4)) * 2
  mask = torch.tensor(np.asarray(present))
  reference = F.smooth_l1_loss(
    torch.tensor(guess) * mask, torch.tensor(expected) * mask
  )
  found = losses.iou_loss(_small(guess), ious, present)
  np.testing.assert_allclose(found, reference.item(), rtol=1e-5)


def test_costs_add_up_and_survive(tmp_path):
  assert Cost(1, 2.0, 3) + Cost(4, 5.0, 6) == Cost(5, 7.0, 9)
  assert cost.read(tmp_path) is None
  with cost.running(tmp_path) as watch:
    first = watch.seconds
  with cost.running(tmp_path) as watch:
    assert watch.seconds > first
  (tmp_path / 'cost.json').write_text('{"seconds": ')
  assert cost.read(tmp_path) is None  # Half a file is no result.
  Cost(1, 2.0, 3).write(tmp_path)
  assert cost.read(tmp_path) == Cost(1, 2.0, 3)


@pytest.mark.parametrize(
  'text',
  [
    '', 'null', '[]', '[1, 2.0, 3]', '{}', '[' * 100_000, '9' * 5000,
    '{"trainings_of_s": 1, "seconds": 2.0}',
    '{"trainings_of_s": 1, "seconds": 2.0, "images": 3, "more": 4}',
    '{"trainings_of_s": "1", "seconds": 2.0, "images": 3}',
    '{"trainings_of_s": true, "seconds": 2.0, "images": 3}',
    '{"trainings_of_s": 1, "seconds": NaN, "images": 3}',
    '{"trainings_of_s": 1, "seconds": -2.0, "images": 3}',
    '{"trainings_of_s": 1, "seconds": [2.0], "images": 3}',
    '{"trainings_of_s": 1, "seconds": 2.0, "images": 3.5}',
    f'{{"trainings_of_s": 1, "seconds": 2.0, "images": {10**400}}}',
  ],
)  # fmt: skip
def test_a_damaged_cost_is_none(tmp_path, text):
  (tmp_path / 'cost.json').write_text(text)
  assert cost.read(tmp_path) is None


@pytest.mark.parametrize(
  'text', ['', '[3]', '{}', '"3"', 'NaN', 'Infinity', '-1', '1' * 400, 'true']
)
def test_a_damaged_time_begins_at_0(tmp_path, text):
  (tmp_path / 'seconds.json').write_text(text)
  with cost.running(tmp_path) as watch:
    assert 0 <= watch.seconds < 60
  (tmp_path / 'seconds.json').write_text('7')
  with cost.running(tmp_path) as watch:
    assert 7 <= watch.seconds < 67


def test_entropy_of_the_mean_of_sure_and_unsure_members():
  rng = np.random.default_rng(0)
  logits = (
    rng.normal(size=(3, 1, 40, 50, 6)) * np.geomspace(0.1, 60, 50)[:, None]
  )
  logits[:, 0, 0] = 0.0  # all classes alike
  logits[:, 0, 1, :, 0] = 300.0  # probabilities of exactly 0
  found = entropy_of_mean([jnp.asarray(x, jnp.float32) for x in logits])
  mean = softmax(logits.astype(np.float32).astype(np.float64), axis=-1).mean(0)
  expected = entropy(mean, axis=-1)
  np.testing.assert_allclose(found, expected, rtol=2e-4, atol=1e-30)
  np.testing.assert_allclose(found[0, 0], np.log(6), rtol=1e-6)
