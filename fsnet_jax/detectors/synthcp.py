"""SynthCP: what its fitted network says, alone and added to MSP."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit


class SynthCp:
  """Log-odds that S is wrong, as the fitted network has them."""

  name = 'synthcp'
  title = 'SynthCP'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'synthcp'

  def score(self, forward: ForwardPass):
    """The logit: ranks as its sigmoid does, without saturating."""
    return forward.fitted[self.uses_fitted]

  def probability(self, forward: ForwardPass):
    """Sigmoid of the score; trained with weights, so not calibrated."""
    return jax.nn.sigmoid(self.score(forward))


class SynthCpPlusMsp:
  """P(wrong) + 1 - MSP, as SynthCP's scripts score it: range [0, 2)."""

  name = 'synthcp_msp'
  title = 'SynthCP + MSP'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'synthcp'

  def score(self, forward: ForwardPass):
    """P(wrong) + (1 - max softmax)."""
    own = jax.nn.sigmoid(miss_logit(forward.segmentation.logits))
    return jax.nn.sigmoid(forward.fitted[self.uses_fitted]) + own

  def probability(self, forward: ForwardPass):
    """None: the sum is no probability."""
    return None


class SynthCpShift(SynthCp):
  """The same, of a fit on the images that phase 3 learns from."""

  name = 'synthcp_shift'
  title = 'SynthCP (shift)'
  uses_fitted = 'synthcp_shift'
