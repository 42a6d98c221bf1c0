import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from common_lib.errors import UserError
from segxal_jax.uncertainty import committee


class Net(nn.Module):
  """One layer, dropout that is off, one layer."""

  rate: float = 0.0

  @nn.compact
  def __call__(self, images):
    x = nn.Conv(8, (1, 1), name='body')(images)
    x = nn.Dropout(self.rate, deterministic=True)(x)
    return nn.Conv(3, (1, 1), name='head')(x)


class Plain(nn.Module):
  @nn.compact
  def __call__(self, images):
    return nn.Conv(3, (1, 1))(images)


def _members(model, members, rate, seed=0):
  images = jax.random.normal(jax.random.key(1), (2, 3, 4, 3))
  variables = model.init(jax.random.key(0), images)
  logits = committee.member_logits(
    lambda v, x, rngs=None: model.apply(v, x, rngs=rngs),
    variables,
    images,
    jax.random.key(seed),
    members,
    rate,
  )
  return logits, model.apply(variables, images)


def test_members_differ_and_repeat():
  logits, _ = _members(Net(), 4, 0.5)
  again, _ = _members(Net(), 4, 0.5)
  assert logits.shape == (4, 2, 3, 4, 3)
  np.testing.assert_array_equal(logits, again)
  assert not np.allclose(logits[0], logits[1])


def test_without_dropout_all_members_agree():
  logits, plain = _members(Net(), 3, 0.0)
  for member in logits:
    np.testing.assert_allclose(member, plain, rtol=1e-5, atol=1e-6)
  assert not committee.vote_entropy(logits).any()
  np.testing.assert_allclose(committee.disagreement(logits), 0, atol=1e-6)


def test_a_network_without_dropout_is_refused():
  with pytest.raises(UserError, match='dropout layers'):
    _members(Plain(), 2, 0.5)


def _votes(*winners):
  """Logits [m 1 1 1 4] of sure members."""
  return jnp.asarray(np.eye(4)[list(winners)] * 50.0).reshape(-1, 1, 1, 1, 4)


def test_vote_entropy_against_scipy():
  logits = _votes(0, 0, 1, 2, 0)
  expected = stats.entropy([3, 1, 1]) / np.log(4)
  np.testing.assert_allclose(
    committee.vote_entropy(logits)[0, 0, 0], expected, rtol=1e-5
  )
  # Three members cannot give four classes a vote: ln 3 is the most.
  np.testing.assert_allclose(
    committee.vote_entropy(_votes(0, 1, 2)), 1.0, rtol=1e-5
  )


def test_consensus_and_disagreement_against_scipy():
  rng = np.random.default_rng(0)
  logits = rng.normal(size=(5, 1, 1, 1, 4)).astype(np.float32)
  probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
  mean = probs.mean(0)[0, 0, 0]
  np.testing.assert_allclose(
    committee.consensus_entropy(jnp.asarray(logits))[0, 0, 0],
    stats.entropy(mean) / np.log(4),
    rtol=1e-5,
  )
  divergences = [stats.entropy(p[0, 0, 0], mean) for p in probs]
  np.testing.assert_allclose(
    committee.disagreement(jnp.asarray(logits))[0, 0, 0],
    np.mean(divergences) / np.log(4),
    rtol=1e-4,
  )


def test_one_member_never_disagrees():
  logits = _votes(2)
  assert not committee.vote_entropy(logits).any()
  assert not committee.disagreement(logits).any()
