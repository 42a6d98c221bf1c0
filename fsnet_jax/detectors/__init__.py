"""Failure detectors: one file each, one protocol, one table."""

from fsnet_jax.detectors.base import (
  FailureDetector,
  ForwardPass,
  fitted_name,
)
from fsnet_jax.detectors.direct import Direct, DirectPlusMsp
from fsnet_jax.detectors.ensemble import DeepEnsemble
from fsnet_jax.detectors.entropy import PredictiveEntropy
from fsnet_jax.detectors.fsnet import FailureNetwork, FailureNetworkPlusMsp
from fsnet_jax.detectors.logits import Energy, MaxLogit
from fsnet_jax.detectors.mc_dropout import MonteCarloDropout
from fsnet_jax.detectors.mc_dropout_synthcp import MonteCarloDropoutAsSynthCp
from fsnet_jax.detectors.msp import MaxSoftmaxProbability
from fsnet_jax.detectors.synthcp import SynthCp, SynthCpPlusMsp
from fsnet_jax.detectors.tcp import (
  TrueClassProbability,
  TrueClassProbabilityAsSynthCp,
  TrueClassProbabilityAsSynthCpPlusMsp,
  TrueClassProbabilityPlusMsp,
)
from fsnet_jax.detectors.temperature import TemperatureScaledMsp

DETECTORS: dict[str, FailureDetector] = {
  detector.name: detector
  for detector in (
    FailureNetwork(),
    FailureNetworkPlusMsp(),
    MaxSoftmaxProbability(),
    PredictiveEntropy(),
    MaxLogit(),
    Energy(),
    MonteCarloDropout(),
    MonteCarloDropoutAsSynthCp(),
    TemperatureScaledMsp(),
    TrueClassProbability(),
    TrueClassProbabilityPlusMsp(),
    TrueClassProbabilityAsSynthCp(),
    TrueClassProbabilityAsSynthCpPlusMsp(),
    Direct(),
    DirectPlusMsp(),
    SynthCp(),
    SynthCpPlusMsp(),
    DeepEnsemble(),
  )
}

__all__ = ['DETECTORS', 'FailureDetector', 'ForwardPass', 'fitted_name']
