"""Logistic regression on MSP's log-odds by predicted class."""

import jax

from fsnet_jax.detectors.base import ForwardPass


class ClassLogistic:
  """Log-odds that S is wrong, calibrated by class on clean training images."""

  name = 'class_logistic'
  title = 'Class logistic'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'class_logistic'

  def score(self, forward: ForwardPass):
    """Slope and offset of the predicted class on `miss_logit`, and the row."""
    return forward.fitted[self.uses_fitted]

  def probability(self, forward: ForwardPass):
    """Sigmoid of the score."""
    return jax.nn.sigmoid(self.score(forward))


class ClassLogisticShift(ClassLogistic):
  """The same, fitted on the images that the failure network learns from."""

  name = 'class_logistic_shift'
  title = 'Class logistic (shift)'
  uses_fitted = 'class_logistic_shift'
