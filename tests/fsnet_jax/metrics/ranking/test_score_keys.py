"""Keys and bins keep the order of scores."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.metrics.ranking.score_keys import (
  NUM_BINS,
  finite_scores,
  key_bins,
  score_keys,
)

jitted_keys = jax.jit(score_keys)
jitted_bins = jax.jit(lambda scores: key_bins(score_keys(scores)))

LARGEST = np.finfo(np.float32).max
SMALLEST = np.float32(1e-45)


def every_kind_of_float() -> np.ndarray:
  """Sorted finite float32 of all magnitudes and both signs, no duplicates."""
  rng = np.random.default_rng(0)
  bits = rng.integers(0, 1 << 32, 200_000, dtype=np.uint32)
  random = bits.view(np.float32)
  random = random[np.isfinite(random)]
  below_one = 1 - rng.integers(0, 1 << 23, 20_000) * np.float32(2**-24)
  special = [0, SMALLEST, -SMALLEST, 1, -1, 0.5, -0.5, LARGEST, -LARGEST]
  scores = np.concatenate(
    [random, below_one, -below_one, rng.normal(0, 5, 50_000), special]
  ).astype(np.float32)
  return np.unique(scores)


def test_keys_rise_exactly_where_scores_do():
  keys = np.asarray(jitted_keys(every_kind_of_float()))
  assert (keys[1:] > keys[:-1]).all()


def test_bins_never_fall_and_fill_their_range():
  bins = np.asarray(jitted_bins(every_kind_of_float()))
  assert (np.diff(bins) >= 0).all()
  assert bins[0] == 0
  assert bins[-1] == NUM_BINS - 1


def test_bins_are_fine_where_networks_put_their_scores():
  positive_logits = np.geomspace(1 / 16, 16, 950)
  logits = np.concatenate([-positive_logits, positive_logits])
  softmax_rest = 2.0 ** -np.linspace(0.01, 24, 1900)
  near_one = 1 - softmax_rest
  for scores, least in (
    (logits, 1500),
    (softmax_rest, 1900),
    # Float32 has no numbers for the last octaves below 1.
    (near_one, 1450),
    (-near_one, 1450),
  ):
    bins = np.asarray(jitted_bins(scores.astype(np.float32)))
    assert len(np.unique(bins)) >= least


def test_signed_zeros_are_one_score():
  keys = np.asarray(score_keys(jnp.asarray([-0.0, 0.0])))
  assert keys[0] == keys[1]


def test_subnormals_keep_their_order():
  scores = np.array([-3, -2, -1, 0, 1, 2, 3], np.int32) * np.float64(SMALLEST)
  keys = np.asarray(jitted_keys(scores.astype(np.float32)))
  assert (keys[1:] > keys[:-1]).all()


@pytest.mark.parametrize('dtype', [jnp.float16, jnp.bfloat16])
def test_half_precision_is_compared_as_float32(dtype):
  scores = jnp.asarray([-2.5, 0.125, 3.0], dtype)
  expected = score_keys(jnp.asarray([-2.5, 0.125, 3.0], jnp.float32))
  np.testing.assert_array_equal(score_keys(scores), expected)


def test_finite_scores():
  scores = jnp.asarray([0.0, np.nan, np.inf, -np.inf, LARGEST, -SMALLEST])
  expected = [True, False, False, False, True, True]
  np.testing.assert_array_equal(finite_scores(scores), expected)
