"""Failure detectors: one file each, one protocol, one table."""

from collections.abc import Mapping, Sequence

from common_lib.errors import UserError
from fsnet_jax.detectors import plugins
from fsnet_jax.detectors.base import (
  FailureDetector,
  ForwardPass,
  failure_part,
  fitted_name,
  uses_flip,
)
from fsnet_jax.detectors.class_logistic import (
  ClassLogistic,
  ClassLogisticShift,
)
from fsnet_jax.detectors.direct import Direct, DirectPlusMsp, DirectShift
from fsnet_jax.detectors.ensemble import DeepEnsemble, EnsembleInformation
from fsnet_jax.detectors.entropy import PredictiveEntropy
from fsnet_jax.detectors.fsnet import (
  ConvFailureNetwork,
  FailureNetwork,
  FailureNetworkPlusMsp,
  JointFailureNetwork,
  PixelFailureNetwork,
)
from fsnet_jax.detectors.logits import Energy, MaxLogit, ScaledEnergy
from fsnet_jax.detectors.mc_dropout import (
  MonteCarloDropout,
  MonteCarloDropoutAsSynthCp,
)
from fsnet_jax.detectors.msp import MaxSoftmaxProbability
from fsnet_jax.detectors.obsnet import ObsNet
from fsnet_jax.detectors.synthcp import SynthCp, SynthCpPlusMsp, SynthCpShift
from fsnet_jax.detectors.tcp import (
  TrueClassProbability,
  TrueClassProbabilityAsSynthCp,
  TrueClassProbabilityAsSynthCpPlusMsp,
  TrueClassProbabilityPlusMsp,
  TrueClassProbabilityShift,
)
from fsnet_jax.detectors.temperature_scaling import TemperatureScaledMsp
from fsnet_jax.detectors.tta_flip import FlipEntropy

DETECTORS: Mapping[str, FailureDetector] = {
  detector.name: detector
  for detector in (
    FailureNetwork(),
    FailureNetworkPlusMsp(),
    JointFailureNetwork(),
    PixelFailureNetwork(),
    ConvFailureNetwork(),
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
    EnsembleInformation(),
    ScaledEnergy(),
    TrueClassProbabilityShift(),
    DirectShift(),
    SynthCpShift(),
    ClassLogistic(),
    ClassLogisticShift(),
    FlipEntropy(),
    ObsNet(),
  )
}

__all__ = [
  'DETECTORS',
  'FailureDetector',
  'ForwardPass',
  'failure_part',
  'fitted_name',
  'resolve',
  'use_temperature',
  'uses_flip',
]


def use_temperature(entries: Sequence[str]) -> bool:
  """Whether one of some detectors needs one, so that images are to fit it.

  Args:
    entries: of `config.eval.detectors`.

  Raises:
    UserError: as `resolve`.
  """
  return any(one.uses_temperature for one in resolve(entries).values())


def resolve(entries: Sequence[str]) -> dict[str, FailureDetector]:
  """The detectors that a config names, its user's own among them.

  Args:
    entries: of `config.eval.detectors`: names of `DETECTORS`, or
      `module:Class`.

  Returns:
    By the name that each detector has, in this order.

  Raises:
    UserError: one of a user's own cannot be imported, is none, or has the
      name of another one.
  """
  found: dict[str, FailureDetector] = {}
  for entry in entries:
    own = ':' in entry
    detector = plugins.load(entry) if own else DETECTORS[entry]
    name = detector.name
    if own and name in DETECTORS:
      raise UserError(
        f'config.eval.detectors names {entry!r}, whose name {name!r} is there '
        'of a built-in one: give it another.'
      )
    if name in found:
      raise UserError(
        f'config.eval.detectors names {name!r} twice: name it once.'
      )
    found[name] = detector
  return found
