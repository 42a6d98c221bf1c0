"""Deep ensemble (Lakshminarayanan et al. 2017)."""

from fsnet_jax.detectors.base import ForwardPass


class DeepEnsemble:
  """Entropy, in nats, of the mean softmax of several S: range [0, ln c].

  The prediction that is judged is that of the frozen S.
  """

  name = 'ensemble'
  title = 'Ensemble'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'ensemble'

  def score(self, forward: ForwardPass):
    """-sum_c p_c ln p_c with p the mean of the members' softmax."""
    return forward.fitted['ensemble'][..., 0]

  def probability(self, forward: ForwardPass):
    """None: an entropy is no probability of being wrong."""
    return None


class EnsembleInformation:
  """Mutual information, in nats, of class and member: range [0, ln c].

  The entropy of the mean softmax less the mean entropy of the members: what
  they disagree about, without what they all doubt.
  """

  name = 'ensemble_mi'
  title = 'Ensemble (MI)'
  uses_failure_network = False
  uses_dropout_samples = False
  uses_temperature = False
  uses_fitted = 'ensemble'

  def score(self, forward: ForwardPass):
    """H(mean of p) - mean of H(p)."""
    return forward.fitted['ensemble'][..., 1]

  def probability(self, forward: ForwardPass):
    """None: an information is no probability of being wrong."""
    return None
