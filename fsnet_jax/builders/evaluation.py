"""From a config to the options of an evaluation, and of what F is in it."""

import dataclasses
from collections.abc import Mapping

from ml_collections import ConfigDict

from common_lib.class_table import ClassTable
from fsnet_jax.builders.classes import class_table


@dataclasses.dataclass(frozen=True)
class FailureOptions:
  """Which networks F is the mean of.

  Attributes:
    preset: `config.failure.preset`.
    has_joint: whether the joint phase trains an F.
    has_phase3: whether there is a phase 3.
    beta_range: that the share of correct pixels is clipped to in the joint
      phase's loss.
    has_colorless: whether phase 3 trains two per-pixel networks, one of which
      sees no colour.
  """

  preset: str
  has_joint: bool
  has_phase3: bool
  beta_range: tuple[float, float]
  has_colorless: bool


@dataclasses.dataclass(frozen=True)
class EvaluationOptions:
  """How a state of S and F is evaluated.

  Attributes:
    seed: of the samples of dropout.
    detectors: names, or `module:Class`.
    fitted: by the name of a detector that learns, the folder of its fit.
    dropout_samples: passes with dropout.
    exact_pixels: scores that are kept as they are; 0 for none.
    details: whether errors are told by region and by predicted class too.
    num_examples: images that are shown.
    failure: what F is.
    classes: of S.
    groups: whether only the groups of the class table are told apart.
    has_members: whether networks from elsewhere make an ensemble with S.
  """

  seed: int
  detectors: tuple[str, ...]
  fitted: Mapping[str, str]
  dropout_samples: int
  exact_pixels: int
  details: bool
  num_examples: int
  failure: FailureOptions
  classes: ClassTable
  groups: bool
  has_members: bool


def failure_options(config: ConfigDict) -> FailureOptions:
  """As the config has them."""
  low, high = config.loss.beta_range
  return FailureOptions(
    preset=config.failure.preset,
    has_joint=config.phase2_steps > 0,
    has_phase3=config.phase3_steps > 0,
    beta_range=(low, high),
    has_colorless=config.fit.pixel.colorless,
  )


def looks_at_mirrored(config: ConfigDict) -> bool:
  """Whether per-pixel networks are trained to see a second pass of S.

  Those of a monitor that is to be light are not.

  Args:
    config: the run's, or the stored one of a fit.
  """
  own = config.fit.pixel
  # Fits of before there were units did as the field says.
  light = config.failure.preset == 'light' and 'units' in own
  return own.flip and not light


def evaluation_options(config: ConfigDict) -> EvaluationOptions:
  """As the config has them."""
  return EvaluationOptions(
    seed=config.seed,
    detectors=tuple(config.eval.detectors),
    fitted=dict(config.eval.fitted),
    dropout_samples=config.eval.dropout_samples,
    exact_pixels=config.eval.exact_pixels,
    details=config.eval.details,
    num_examples=config.eval.num_examples,
    failure=failure_options(config),
    classes=class_table(config),
    groups=config.eval.groups,
    has_members=bool(config.segmentation.members),
  )
