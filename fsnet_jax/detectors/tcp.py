"""TCP: what a fitted ConfidNet head says, alone and added to MSP."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit


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
    return forward.fitted[self.uses_fitted]

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
    return jax.nn.sigmoid(forward.fitted[self.uses_fitted]) + own

  def probability(self, forward: ForwardPass):
    """None: the sum is no probability."""
    return None


class TrueClassProbabilityAsSynthCp(TrueClassProbability):
  """The same of a head that is fed as SynthCP feeds it."""

  name = 'tcp_synthcp'
  title = 'TCP (SynthCP)'
  uses_fitted = 'tcp_synthcp'


class TrueClassProbabilityAsSynthCpPlusMsp(TrueClassProbabilityPlusMsp):
  """The same of a head that is fed as SynthCP feeds it: the published TCP."""

  name = 'tcp_synthcp_msp'
  title = 'TCP (SynthCP) + MSP'
  uses_fitted = 'tcp_synthcp'


class TrueClassProbabilityShift(TrueClassProbability):
  """The same, of a fit on the images that phase 3 learns from."""

  name = 'tcp_shift'
  title = 'TCP (shift)'
  uses_fitted = 'tcp_shift'
