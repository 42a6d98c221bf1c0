"""Finds mistakes in a config of this package before anything is compiled."""

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.builders.classes import class_table
from fsnet_jax.config import resolution, validation
from segxal_jax import acquisition, depth, oracles
from segxal_jax.config import builders, own_learner, trainings
from segxal_jax.config.fields import FIELDS
from segxal_jax.uncertainty import gradient_embedding


def _check_folds(config: ConfigDict) -> None:
  for path in ('pool.folds', 'reference.folds'):
    if resolution.get(config, path) == 1:
      raise UserError(
        f'config.{path} is 1: nothing would be left to train on; choose 0 or '
        'at least 2.'
      )
  reference = config.reference
  if (reference.percents or reference.folds) and not reference.seeds:
    raise UserError(
      'config.reference.seeds is empty: name the seed of each run.'
    )
  pool = config.pool
  if pool.fold and not pool.fold < pool.folds:
    raise UserError(
      f'config.pool.fold is {pool.fold}: the {pool.folds} folds of '
      'config.pool.folds are numbered from 0.'
    )


def _check_explanation(config: ConfigDict) -> None:
  eem = config.eem
  if not eem.alpha + eem.beta + eem.gamma > 0:
    raise UserError(
      'config.eem.alpha, beta and gamma are all 0: the mask would be empty.'
    )
  held_out = config.pool.holdout or config.data.validation_split
  if eem.weights == 'fitted' and not held_out:
    raise UserError(
      "config.eem.weights is 'fitted', which needs labelled images to learn "
      'from: set config.pool.holdout or config.data.validation_split.'
    )
  needs_failure = eem.gamma > 0 or config.acquisition.strategy == 'failure'
  if needs_failure and not config.phase2_steps:
    raise UserError(
      'config.eem.gamma and the strategy failure need a trained failure '
      'network: set config.phase2_steps.'
    )
  classes = class_table(config).num_classes
  if any(index >= classes for index in config.cam.classes):
    raise UserError(
      f'config.cam.classes has {max(config.cam.classes)}, but the '
      f'{classes} classes are numbered from 0.'
    )
  low, high = config.depth.percentiles
  if not low < high:
    raise UserError(
      f'config.depth.percentiles is {(low, high)}: it needs '
      '0 <= low < high <= 100.'
    )


def _check_auxiliary_models(config: ConfigDict) -> None:
  options = config.acquisition
  if options.vaal_side % 16:
    raise UserError(
      f'config.acquisition.vaal_side is {options.vaal_side}: it must be a '
      'multiple of 16.'
    )
  if options.ensemble < 2 and options.strategy.startswith('ensemble'):
    raise UserError(
      f'config.acquisition.ensemble is {options.ensemble}: a committee has at '
      'least 2 members.'
    )


def _check_beginning(config: ConfigDict) -> None:
  if config.data.train_fraction != 1.0:
    raise UserError(
      'config.data.train_fraction is of FSNet alone: the pool is cut by '
      'config.data.num_train, the seed set by config.pool.initial_percent.'
    )
  if config.init.phase1:
    raise UserError('config.init.phase1 is of FSNet alone: leave it empty.')
  if config.init.failure_encoder and not config.phase2_steps:
    raise UserError(
      'config.init.failure_encoder needs a failure network: set '
      'config.phase2_steps.'
    )


def _check_lengths(config: ConfigDict) -> None:
  if config.steps_per_image and not config.phase1_steps:
    raise UserError(
      f'config.steps_per_image is {config.steps_per_image}, but '
      'config.phase1_steps is 0: a schedule of the learning rate is stretched '
      'by their ratio; set it to 1 or more.'
    )


def _check_end(config: ConfigDict) -> None:
  stop = config.stop
  validated = config.data.validation_split or config.pool.holdout
  if stop.plateau_patience and not validated:
    raise UserError(
      'config.stop.plateau_patience needs config.data.validation_split or '
      'config.pool.holdout.'
    )


def _trained_here(config: ConfigDict) -> ConfigDict:
  """The config with a network of this package where a command trains one."""
  if not own_learner.is_command(config):
    return config
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    changed.segmentation.name, changed.segmentation.path = 'unet', ''
    changed.phase1_steps = 1
  return changed


def check(config: ConfigDict) -> None:
  """Checks what can be checked without data or devices; changes nothing.

  Args:
    config: as `configs/segxal_unet.py` lays it out.

  Raises:
    UserError: for the first mistake found.
  """
  config = resolution.resolved(config, FIELDS)
  own_learner.check(config)
  validation.check_together(_trained_here(config))
  _check_folds(config)
  _check_explanation(config)
  _check_auxiliary_models(config)
  _check_beginning(config)
  _check_lengths(config)
  _check_end(config)
  strategy = acquisition.create(config.acquisition.strategy)
  builders.region_selector(config)
  trainings.learner(config)
  if strategy.requirements.embedding == 'gradient':
    gradient_embedding.classifier(
      config.segmentation.name, config.segmentation.head
    )
  oracles.create(config.oracle, config.seed)
  depth.create(config.depth)
