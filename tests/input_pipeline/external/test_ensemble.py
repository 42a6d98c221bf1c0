"""An ensemble on the host against the one in the compiled program."""

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.detectors.entropy import entropy
from fsnet_jax.learned_detectors.ensemble import entropy_of_mean
from input_pipeline.external.ensemble import disagreement


def test_it_is_what_the_deep_ensemble_computes():
  rng = np.random.default_rng(0)
  logits = [
    rng.normal(0, scale, (2, 3, 4, 5)).astype(np.float32)
    for scale in (1, 10, 80)
  ]
  found = disagreement(logits)
  mean = entropy_of_mean([jnp.asarray(one) for one in logits])
  own = sum(entropy(jnp.asarray(one)) for one in logits) / 3
  np.testing.assert_allclose(found[..., 0], mean, atol=1e-5)
  np.testing.assert_allclose(found[..., 1], mean - own, atol=1e-5)
  by_hand = np.mean([np.asarray(jax.nn.softmax(one)) for one in logits], 0)
  np.testing.assert_allclose(
    found[..., 0], -(by_hand * np.log(by_hand + 1e-30)).sum(-1), atol=1e-5
  )


def test_equal_members_disagree_about_nothing():
  logits = np.random.default_rng(1).normal(size=(1, 2, 2, 3))
  found = disagreement([np.float32(logits)] * 3)
  np.testing.assert_allclose(found[..., 1], 0, atol=1e-7)
  assert found.dtype == np.float32 and (found >= 0).all()
