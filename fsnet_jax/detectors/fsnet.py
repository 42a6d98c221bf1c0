"""FSNet's own failure map, alone and added to MSP."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit


class FailureNetwork:
  """The failure network's output (paper III-A)."""

  name = 'fsnet'
  title = 'FSNet'
  uses_failure_network = True
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """The logit: ranks as its sigmoid does, without saturating."""
    return forward.failure_logits

  def probability(self, forward: ForwardPass):
    """Sigmoid of the logit.

    Trained on a balanced loss, it over-states P(wrong) by design; its ECE
    says by how much.
    """
    return jax.nn.sigmoid(forward.failure_logits)


class FailureNetworkPlusMsp:
  """Sum of FSNet's probability and 1 - MSP.

  The scripts that the paper's baselines come from score a learned detector
  as its confidence plus the maximum softmax; the paper does not say whether
  its own score does. Range [0, 2).
  """

  name = 'fsnet_msp'
  title = 'FSNet + MSP'
  uses_failure_network = True
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """sigmoid(failure logit) + (1 - max softmax)."""
    own = jax.nn.sigmoid(miss_logit(forward.segmentation.logits))
    return jax.nn.sigmoid(forward.failure_logits) + own

  def probability(self, forward: ForwardPass):
    """None: the sum is no probability."""
    return None
