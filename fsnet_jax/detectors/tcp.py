"""TCP: what a fitted ConfidNet head says, alone and added to MSP."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure_features import miss_logit


class TrueClassProbability:
  """Minus the log-odds of the predicted true class probability."""

  name = 'tcp'
  title = 'TCP'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'tcp'

  def score(self, forward: ForwardPass):
    """The logit: ranks as 1 - TCP does, without saturating."""
    return forward.fitted['tcp']

  def probability(self, forward: ForwardPass):
    """None: 1 - TCP is no probability of being wrong."""
    return None


class TrueClassProbabilityPlusMsp:
  """1 - TCP + 1 - MSP, as SynthCP's scripts score it: range [0, 2)."""

  name = 'tcp_msp'
  title = 'TCP + MSP'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'tcp'

  def score(self, forward: ForwardPass):
    """(1 - predicted TCP) + (1 - max softmax)."""
    own = jax.nn.sigmoid(miss_logit(forward.segmentation.logits))
    return jax.nn.sigmoid(forward.fitted['tcp']) + own

  def probability(self, forward: ForwardPass):
    """None: the sum is no probability."""
    return None
