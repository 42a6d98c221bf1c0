"""What F is in an evaluation: the parts that a run has, and their mean."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import Array

from fsnet_jax.builders.evaluation import EvaluationOptions, FailureOptions
from fsnet_jax.detectors import FailureDetector, failure_part, resolve
from fsnet_jax.learned_detectors.base import Loaded
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.learned_detectors.corrections.pixel import balance_offset
from fsnet_jax.steps.eval_step import DropoutSampling, FailureMean


def usable_detectors(options: EvaluationOptions) -> dict[str, FailureDetector]:
  """The detectors asked for, less those of what was never trained."""
  has_f = bool(phase3.weights_of(options.failure))
  parts = {*phase3.parts_of(options.failure)} | _joint(options.failure)

  def usable(detector: FailureDetector) -> bool:
    part = failure_part(detector)
    if part:
      return part in parts
    return has_f or not detector.uses_failure_network

  found = resolve(options.detectors)
  return {name: one for name, one in found.items() if usable(one)}


def _joint(options: FailureOptions) -> set[str]:
  return {'joint'} if options.has_joint else set()


def parts_used(
  options: FailureOptions, detectors: Mapping[str, FailureDetector]
) -> tuple[str, ...]:
  """The networks of phase 3 that an evaluation looks at.

  Args:
    options: of the run.
    detectors: of `usable_detectors`.
  """
  wanted = {failure_part(one) for one in detectors.values()}
  if any(
    one.uses_failure_network and not failure_part(one)
    for one in detectors.values()
  ):
    wanted |= phase3.weights_of(options).keys()
  return tuple(name for name in phase3.PARTS if name in wanted)


def load(
  options: FailureOptions,
  workdir: Path,
  detectors: Mapping[str, FailureDetector],
) -> dict[str, Loaded]:
  """These networks.

  Args:
    options: of the run.
    workdir: of the run.
    detectors: of `usable_detectors`.

  Raises:
    UserError: one is missing or damaged.
  """
  used = parts_used(options, detectors)
  phase3.check(options.preset, workdir, used)
  return phase3.load(workdir, used)


def mean_of(
  options: FailureOptions, parts: Mapping[str, Loaded]
) -> FailureMean:
  """F as the evaluation step takes it.

  Args:
    options: of the run.
    parts: of `load`.
  """
  known = parts.keys() | _joint(options)
  weights = phase3.weights_of(options)
  return FailureMean(
    weights if weights.keys() <= known else {},
    {name: part.outputs for name, part in parts.items()},
    joint='joint' in known,
    joint_offset=_offset(options) if 'pixel' in parts else None,
  )


def sampling_of(
  parts: Mapping[str, Loaded], seed: int
) -> DropoutSampling | None:
  """The passes of S with dropout that these networks look at, if any do.

  As many as they were trained with. The samples of detector `mc_dropout` are
  others: it has a number of its own, and its mean needs no softmax of each.

  Args:
    parts: of `load`.
    seed: of the masks.
  """
  samples = max((one.dropout_samples for one in parts.values()), default=0)
  return DropoutSampling(samples, seed) if samples else None


def _offset(options: FailureOptions) -> Callable[[Mapping[str, Any]], Array]:
  """Of `FailureMean.joint_offset`; both forms of L2 have the same."""

  def offset(variables: Mapping[str, Any]) -> Array:
    stats = variables['pixel']['stats']
    return balance_offset(stats, options.beta_range)

  return offset
