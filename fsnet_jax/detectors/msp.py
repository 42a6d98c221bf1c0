"""Maximum softmax probability (Hendrycks & Gimpel 2017), the baseline."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit


class MaxSoftmaxProbability:
  """1 - max softmax of S: range [0, 1 - 1/c]."""

  name = 'msp'
  title = 'MSP'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """1 - max_c p_c, without the ties of that difference in float32."""
    return jax.nn.sigmoid(miss_logit(forward.segmentation.logits))

  def probability(self, forward: ForwardPass):
    """The score itself: the softmax claims to be right with p."""
    return self.score(forward)
