"""Monte-Carlo dropout (Gal & Ghahramani 2016), scored as SynthCP scores it."""

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.detectors.entropy import entropy


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
