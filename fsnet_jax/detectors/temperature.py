"""Maximum softmax probability after temperature scaling (Guo et al. 2017)."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit


class TemperatureScaledMsp:
  """1 - max softmax(logits / T), T fitted on the validation split.

  One T for all pixels: it changes the order of pixels only a little, and the
  calibration much.
  """

  name = 'msp_temperature'
  title = 'MSP, scaled'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = True

  def score(self, forward: ForwardPass):
    """1 - max_c p_c with p = softmax(logits / T)."""
    scaled = forward.segmentation.logits / forward.temperature
    return jax.nn.sigmoid(miss_logit(scaled))

  def probability(self, forward: ForwardPass):
    """The score itself."""
    return self.score(forward)
