"""Maximum softmax probability (Hendrycks & Gimpel 2017), the baseline."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.detectors.base import ForwardPass


def miss_probability(logits: Float[Array, 'b h w c']) -> Array:
  """1 - max_c softmax_c, with full relative precision.

  1 - p in float32 has steps of 6e-8 near p = 1, where most pixels of a
  trained network are, and log-softmax has the same; they would all be ties.
  The sum of the other classes' probabilities has no such steps.
  """
  winner = jnp.argmax(logits, axis=-1, keepdims=True)
  is_winner = jnp.arange(logits.shape[-1]) == winner
  shifted = logits - jnp.max(logits, axis=-1, keepdims=True)
  others = jnp.sum(jnp.where(is_winner, 0.0, jnp.exp(shifted)), axis=-1)
  return others / (1.0 + others)


class MaxSoftmaxProbability:
  """1 - max softmax of S: range [0, 1 - 1/c]."""

  name = 'msp'
  title = 'MSP'
  uses_failure_network = False

  def score(self, forward: ForwardPass):
    """1 - max_c p_c."""
    return miss_probability(forward.segmentation.logits)

  def probability(self, forward: ForwardPass):
    """The score itself: the softmax claims to be right with p."""
    return self.score(forward)
