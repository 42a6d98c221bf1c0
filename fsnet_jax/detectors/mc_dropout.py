"""Monte-Carlo dropout (Gal & Ghahramani 2016), scored as SynthCP scores it."""

import jax
import jax.numpy as jnp

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.detectors.entropy import entropy

# Inside SynthCP's logarithm.
_EPSILON = 1e-9


class MonteCarloDropout:
  """Entropy, in nats, of the softmax of logits averaged over passes.

  The prediction that is judged is the deterministic one. Range [0, ln c].
  """

  name = 'mc_dropout'
  title = 'MC-Dropout'
  uses_failure_network = False
  uses_dropout_samples = True
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """-sum_c p_c ln p_c with p = softmax of the mean logits."""
    assert forward.dropout_logits is not None  # It asks for them.
    return entropy(forward.dropout_logits)

  def probability(self, forward: ForwardPass):
    """None: an entropy is no probability of being wrong."""
    return None


class MonteCarloDropoutAsSynthCp:
  """Monte-Carlo dropout with none active, as SynthCP has it for DeepLab.

  Its DeepLab drops in one mode alone, and neither the training nor the script
  uses that: 50 passes are all the same, and the row is the entropy of the
  deterministic softmax by SynthCP's formula, about [0, ln c]. FCN8's dropout
  is active there: that row is `mc_dropout`, up to the 1e-9.
  """

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
