"""What the failure-detection network reads off the logits (paper table I)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fsnet_jax.models.cpu import sums
from fsnet_jax.models.layers import basic


def miss_logit(logits: Float[Array, 'b h w c']) -> Float[Array, 'b h w']:
  """Log-odds that the winning class is wrong, by the softmax's own account.

  ln((1 - p) / p) with p the largest probability: the log-sum-exp of the other
  logits less the winner's. 1 - p from the probability itself has steps of
  6e-8 in float32, where most pixels of a trained network are; this has none.

  Args:
    logits: [b h w c] class scores, finite, at least two classes.

  Returns:
    [b h w], at most ln(c - 1).
  """
  winner = jnp.argmax(logits, axis=-1, keepdims=True)
  is_winner = jnp.arange(logits.shape[-1]) == winner
  others = jax.nn.logsumexp(logits, axis=-1, where=~is_winner)
  return others - jnp.max(logits, axis=-1)


def softmax_features(
  logits: Float[Array, 'b h w c'], raw_class_index: bool = False
) -> dict[str, Float[Array, 'b h w 1']]:
  """The features w2, w3 and w4, all from one exponential a class.

  With p = softmax(logits) over c classes:

  * w2 = max p, in [1/c, 1];
  * w3 = sigmoid(H), H = -sum p ln p in nats, so for 19 classes w3 is in
    [0.5, 0.95]. The paper does not name the base of the logarithm;
  * w4 = argmax / (c - 1), in [0, 1], without a gradient. The paper names the
    bare class index, whose range is some ten times that of the other
    features: `raw_class_index` gives it.

  w1, the learned 1x1 convolution, belongs to the network: `FailureNet`.

  Args:
    logits: [b h w c] class scores, float32, finite.
    raw_class_index: whether w4 is the bare index, 0 .. c - 1.

  Returns:
    'w2', 'w3' and 'w4', each [b h w 1] float32.
  """
  logits = basic.at_least_float32(logits)
  # Relative to the largest, whose own gradient cancels.
  top = jnp.max(logits, -1, keepdims=True)
  below = logits - jax.lax.stop_gradient(top)
  powers = jnp.exp(below)
  total = jnp.sum(powers, -1, keepdims=True)
  # H = ln sum exp(l) - sum p l.
  mean = sums.of_products(powers, below)[..., None] / total
  entropy = jnp.log(total) - mean
  index = jax.lax.stop_gradient(
    jnp.argmax(logits, -1, keepdims=True).astype(logits.dtype)
  )
  if not raw_class_index:
    index = index / max(logits.shape[-1] - 1, 1)
  return {
    'w2': jnp.exp(top - jax.lax.stop_gradient(top)) / total,
    'w3': jax.nn.sigmoid(entropy),
    'w4': index,
  }
