"""FSNet's own failure map: alone, added to MSP, and each part of it."""

import jax

from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.models.failure.failure_features import miss_logit


class FailureNetwork:
  """The failure network's output (paper III-A).

  Which networks it is the mean of says `config.failure.preset`.
  """

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

    P(wrong) where it was trained by phase 3. The joint phase's balanced loss
    over-states it by design; its ECE says by how much.
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


class _Part:
  """One of the networks that F is the mean of, by itself."""

  uses_failure_network = True
  uses_dropout_samples = False
  uses_temperature = False
  uses_failure_part = ''

  def score(self, forward: ForwardPass):
    """Its log-odds that S is wrong."""
    return forward.failure_parts[self.uses_failure_part]

  def probability(self, forward: ForwardPass):
    """Sigmoid of the score; as `FailureNetwork.probability`."""
    return jax.nn.sigmoid(self.score(forward))


class JointFailureNetwork(_Part):
  """F as the joint phase leaves it: the paper's (`preset='paper'`)."""

  name = 'fsnet_joint'
  title = 'FSNet (joint)'
  uses_failure_part = 'joint'


class PixelFailureNetwork(_Part):
  """Phase 3's per-pixel networks (`preset='light'`)."""

  name = 'fsnet_pixel'
  title = 'FSNet (pixel)'
  uses_failure_part = 'pixel'


class ConvFailureNetwork(_Part):
  """Phase 3's convolutional network."""

  name = 'fsnet_conv'
  title = 'FSNet (conv)'
  uses_failure_part = 'conv'
