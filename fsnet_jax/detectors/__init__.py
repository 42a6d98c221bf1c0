"""Failure detectors: one file each, one protocol, one table."""

from collections.abc import Iterable, Sequence

from common_lib.errors import UserError
from fsnet_jax.detectors import plugins
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

_BUILT_IN = tuple(DETECTORS)
# By name, the `module:Class` of those that are a user's own.
_ENTRIES: dict[str, str] = {}

__all__ = [
  'DETECTORS',
  'FailureDetector',
  'ForwardPass',
  'entries',
  'fitted_name',
  'own',
  'register',
  'use_temperature',
]


def use_temperature(names: Iterable[str]) -> bool:
  """Whether one of some detectors needs one, so that images are to fit it."""
  return any(DETECTORS[name].uses_temperature for name in names)


def own(names: Iterable[str]) -> tuple[str, ...]:
  """Those of some detectors that are of a user's own files."""
  return tuple(name for name in names if name in _ENTRIES)


def entries(names: Iterable[str]) -> tuple[str, ...]:
  """What `config.eval.detectors` must say to name these: undoes `register`."""
  return tuple(_ENTRIES.get(name, name) for name in names)


def register(entries: Sequence[str]) -> tuple[str, ...]:
  """Puts the detectors of a user's own files into `DETECTORS`.

  Args:
    entries: of `config.eval.detectors`: names, or `module:Class`.

  Returns:
    The names alone: `module:Class` becomes the name that its class has.

  Raises:
    UserError: such a detector cannot be imported, is none, or has the name of
      another one.
  """
  names: list[str] = []
  for entry in entries:
    if ':' not in entry:
      names.append(entry)
      continue
    detector = plugins.load(entry)
    if detector.name in (*_BUILT_IN, *names):
      whose = 'of a built-in one' if detector.name in _BUILT_IN else 'twice'
      raise UserError(
        f'config.eval.detectors names {entry!r}, whose name {detector.name!r} '
        f'is there {whose}: give it another.'
      )
    DETECTORS[detector.name] = detector
    _ENTRIES[detector.name] = entry
    names.append(detector.name)
  return tuple(names)
