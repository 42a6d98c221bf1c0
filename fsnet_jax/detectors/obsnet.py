"""ObsNet: what an observer says that has learnt from attacks on S."""

import jax

from fsnet_jax.detectors.base import ForwardPass


class ObsNet:
  """Log-odds that S is wrong, as the fitted observer has them."""

  name = 'obsnet'
  title = 'ObsNet'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'obsnet'

  def score(self, forward: ForwardPass):
    """The logit: ranks as its sigmoid does, without saturating."""
    return forward.fitted[self.uses_fitted]

  def probability(self, forward: ForwardPass):
    """Sigmoid of the score: P(wrong) among images that are attacked."""
    return jax.nn.sigmoid(self.score(forward))
