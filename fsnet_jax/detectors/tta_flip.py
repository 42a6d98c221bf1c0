"""Test-time augmentation by the mirror image, without any learning."""

import jax
import jax.numpy as jnp

from fsnet_jax.detectors.base import ForwardPass


class FlipEntropy:
  """Entropy, in nats, of the mean softmax of an image and its mirror image.

  Range [0, ln c]; costs a second pass of S. The prediction that is judged is
  that of the image alone.
  """

  name = 'tta_flip'
  title = 'Entropy (flip)'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_flip = True

  def score(self, forward: ForwardPass):
    """-sum_c p_c ln p_c with p the mean of the two softmaxes."""
    assert forward.flip_logits is not None  # It asks for them.
    both = [
      jax.nn.log_softmax(logits, axis=-1)
      for logits in (forward.segmentation.logits, forward.flip_logits)
    ]
    mean = jnp.logaddexp(*both) - jnp.log(2.0)
    return -jnp.sum(jnp.exp(mean) * mean, axis=-1)

  def probability(self, forward: ForwardPass):
    """None: an entropy is no probability of being wrong."""
    return None
