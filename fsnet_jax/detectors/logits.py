"""Scores of the bare logits: their maximum and the free energy."""

import jax
import jax.numpy as jnp

from fsnet_jax.detectors.base import ForwardPass


class MaxLogit:
  """Minus the largest logit (Hendrycks et al. 2022); any real number."""

  name = 'max_logit'
  title = 'Max logit'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """-max_c l_c."""
    return -jnp.max(forward.segmentation.logits, axis=-1)

  def probability(self, forward: ForwardPass):
    """None: a logit is no probability."""
    return None


class Energy:
  """Free energy at temperature 1 (Liu et al. 2020); any real number."""

  name = 'energy'
  title = 'Energy'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False

  def score(self, forward: ForwardPass):
    """-ln sum_c exp(l_c)."""
    return -jax.nn.logsumexp(forward.segmentation.logits, axis=-1)

  def probability(self, forward: ForwardPass):
    """None: an energy is no probability."""
    return None


class ScaledEnergy:
  """Free energy at the temperature T that is fitted on validation images.

  The largest logit over T ranks as the largest logit does, so there is none of
  that.
  """

  name = 'energy_temperature'
  title = 'Energy (scaled)'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = True

  def score(self, forward: ForwardPass):
    """-T ln sum_c exp(l_c / T)."""
    scaled = forward.segmentation.logits / forward.temperature
    return -forward.temperature * jax.nn.logsumexp(scaled, axis=-1)

  def probability(self, forward: ForwardPass):
    """None: an energy is no probability."""
    return None
