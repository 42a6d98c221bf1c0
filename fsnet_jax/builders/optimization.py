"""From a config to the optimiser and the losses that it describes."""

import optax
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.builders import networks
from fsnet_jax.steps import optimizers
from fsnet_jax.steps.train_step import LossOptions
from fsnet_jax.weights.names import BACKBONES


def _segmentation_lr(config: ConfigDict) -> optax.Schedule:
  options = config.optimizer
  return optimizers.segmentation_schedule(
    options.learning_rate,
    options.schedule,
    options.poly_steps,
    options.poly_power,
    options.warmup_steps,
  )


def optimizer(config: ConfigDict) -> optax.GradientTransformationExtraArgs:
  """Of S and F, as one tree.

  Raises:
    UserError: S has no encoder whose learning rate could differ.
  """
  options = config.optimizer
  return optimizers.make_optimizer(
    segmentation_lr=_segmentation_lr(config),
    momentum=options.momentum,
    weight_decay=options.weight_decay,
    failure_lr=options.failure_learning_rate,
    clip_norm=options.clip_norm,
    kind=options.kind,
    frozen=networks.frozen(config),
    scaled=(_encoder(config), options.encoder_scale),
  )


def _encoder(config: ConfigDict) -> str:
  """Name of S's pretrained part; '' where no learning rate differs."""
  name, scale = config.segmentation.name, config.optimizer.encoder_scale
  if scale == 1:
    return ''
  if name not in BACKBONES:
    raise UserError(
      f'config.optimizer.encoder_scale={scale:g} is for {", ".join(BACKBONES)}'
      f': set it to 1 for {name}, which has no pretrained encoder.'
    )
  return BACKBONES[name][1]


def learning_rates(
  config: ConfigDict, step: int, phase: int
) -> dict[str, float]:
  """Learning rates that update `step` (from 0) used, for logging."""
  failure = config.optimizer.failure_learning_rate if phase == 2 else 0.0
  return {
    # optax's numbers may be complex; a learning rate is not.
    # pyrefly: ignore[bad-argument-type]
    'learning_rate_segmentation': float(_segmentation_lr(config)(step)),
    'learning_rate_failure': failure,
  }


def loss_options(config: ConfigDict) -> LossOptions:
  """How L2 is formed."""
  return LossOptions(
    form=config.loss.form,
    beta_range=tuple(config.loss.beta_range),
    l2_weight=config.loss.l2_weight,
    l2_warmup_steps=config.loss.l2_warmup_steps,
    stop_gradient_to_segmentation=config.stop_gradient_to_segmentation,
  )
