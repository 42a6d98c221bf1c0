"""Monte-Carlo dropout with no dropout, as SynthCP's script for DeepLab has it.

Its DeepLab drops in one mode alone, and neither the training nor the script
uses that: 50 passes are all the same, and the row is the entropy of the
deterministic softmax. FCN8's dropout is active there: that row is
`mc_dropout`, up to the 1e-9.
"""

import jax
import jax.numpy as jnp

from fsnet_jax.detectors.base import ForwardPass

# Inside SynthCP's logarithm.
_EPSILON = 1e-9


class MonteCarloDropoutAsSynthCp:
  """Entropy of S's softmax in nats by SynthCP's formula: about [0, ln c]."""

  name = 'mc_dropout_synthcp'
  title = 'MC-Dropout, none active'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """-sum_c p_c ln(p_c + 1e-9)."""
    probs = jax.nn.softmax(forward.segmentation.logits, axis=-1)
    return -jnp.sum(probs * jnp.log(probs + _EPSILON), axis=-1)

  def probability(self, forward: ForwardPass):
    """None: an entropy is no probability of being wrong."""
    return None
