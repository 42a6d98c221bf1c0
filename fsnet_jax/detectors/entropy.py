"""Predictive entropy of the softmax."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.cpu import sums


def entropy(logits: Float[Array, '*b c']) -> Float[Array, '*b']:
  """Entropy in nats of the softmax over the last axis."""
  log_probs = jax.nn.log_softmax(logits, axis=-1)
  # From log-probabilities: p ln p from probabilities is 0 * -inf at p = 0.
  return -sums.of_products(jnp.exp(log_probs), log_probs)


class PredictiveEntropy:
  """Entropy of S's softmax in nats: range [0, ln c]."""

  name = 'entropy'
  title = 'Entropy'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """-sum_c p_c ln p_c."""
    return entropy(forward.segmentation.logits)

  def probability(self, forward: ForwardPass):
    """None: an entropy is no probability of being wrong."""
    return None
