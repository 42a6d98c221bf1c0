"""Finds mistakes in a config of this package before anything is compiled."""

from typing import Any

from common_lib import class_table
from common_lib.errors import UserError
from fsnet_jax.config import validation
from segxal_jax import acquisition, depth, learners, oracles
from segxal_jax.queries import region_selectors
from segxal_jax.uncertainty import gradient_embedding

_CHOICES = {
  'cam.method': ('gradcam', 'hirescam'),
  'cam.target': ('predicted', 'classes'),
  'cam.z': ('cells', 'positive_sum'),
  'eem.weights': ('fixed', 'fitted'),
  'depth.threshold': ('otsu', 'soft'),
  'regions.kind': ('superpixels', 'patches'),
  'oracle.rest': ('prediction', 'confident', 'void'),
  'selection.rule': ('dice', 'all'),
  'acquisition.deal_loss': ('bce', 'wce'),
}
_NOT_NEGATIVE = (
  'pool.num_initial',
  'pool.num_query',
  'pool.holdout',
  'pool.folds',
  'pool.fold',
  'reference.folds',
  'reference.cycles',
  'reference.full_steps',
  'eem.alpha',
  'eem.beta',
  'eem.gamma',
  'eem.patch_entropy',
  'acquisition.window',
  'oracle.border_noise_px',
  'stop.cycles',
  'stop.images',
  'stop.pixels',
  'stop.clicks',
  'stop.plateau_patience',
  'report.num_examples',
  'report.num_watched',
)
_POSITIVE = (
  'pool.initial_percent',
  'pool.query_percent',
  'acquisition.members',
  'acquisition.gradient_dims',
  'acquisition.pixels',
  'acquisition.ensemble',
  'acquisition.deal_stride',
  'acquisition.deal_levels',
  'acquisition.cell',
  'acquisition.vaal_side',
  'acquisition.vaal_latent',
  'acquisition.vaal_steps',
  'acquisition.vaal_batch_size',
  'acquisition.vaal_learning_rate',
  'regions.num_segments',
  'regions.compactness',
  'regions.patch',
  'regions.count',
  'oracle.patch',
  'oracle.poll_secs',
)
# Both ends allowed.
_SHARES = (
  'pool.subset_share',
  'acquisition.top_share',
  'acquisition.pixel_share',
  'acquisition.teacher_decay',
  'acquisition.teacher_confidence',
  'oracle.min_confidence',
  'oracle.min_share',
  'oracle.wrong_class',
  'selection.theta',
)


def _get(config: Any, path: str) -> Any:
  for name in path.split('.'):
    config = config[name]
  return config


def _check_numbers(config: Any) -> None:
  for path in _NOT_NEGATIVE:
    if not _get(config, path) >= 0:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it must not be negative.'
      )
  for path in _POSITIVE:
    if not _get(config, path) > 0:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it must be greater than 0.'
      )
  for path in _SHARES:
    if not 0 <= _get(config, path) <= 1:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it is a share, from 0 to 1.'
      )
  for path in ('acquisition.dropout', 'depth.ego_share'):
    if not 0 <= _get(config, path) < 1:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it must be at least 0 and '
        'less than 1.'
      )
  for path in ('pool.subset_share', 'acquisition.top_share'):
    if not _get(config, path) > 0:
      raise UserError(f'config.{path} is 0: no image could be chosen.')


def _check_folds(config: Any) -> None:
  for path in ('pool.folds', 'reference.folds'):
    if _get(config, path) == 1:
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


def _check_explanation(config: Any) -> None:
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
  wrong = [
    c for c in config.cam.classes if c not in range(class_table.NUM_CLASSES)
  ]
  if wrong:
    raise UserError(
      f'config.cam.classes names {wrong[0]}: classes are 0 to '
      f'{class_table.NUM_CLASSES - 1}.'
    )
  low, high = config.depth.percentiles
  if not 0 <= low < high <= 100:
    raise UserError(
      f'config.depth.percentiles is {(low, high)}: it needs '
      '0 <= low < high <= 100.'
    )


def _check_companions(config: Any) -> None:
  asked = config.acquisition
  if asked.vaal_side % 16:
    raise UserError(
      f'config.acquisition.vaal_side is {asked.vaal_side}: it must be a '
      'multiple of 16.'
    )
  if asked.ensemble < 2 and asked.strategy.startswith('ensemble'):
    raise UserError(
      f'config.acquisition.ensemble is {asked.ensemble}: a committee has at '
      'least 2 members.'
    )


def _check_beginning(config: Any) -> None:
  if config.data.get('train_fraction', 1.0) != 1.0:
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


def _check_end(config: Any) -> None:
  stop = config.stop
  validated = config.data.validation_split or config.pool.holdout
  if stop.plateau_patience and not validated:
    raise UserError(
      'config.stop.plateau_patience needs config.data.validation_split or '
      'config.pool.holdout.'
    )


def check(config: Any) -> None:
  """Checks every field that can be checked without data or devices.

  Args:
    config: as `configs/segxal_unet.py` lays it out.

  Raises:
    UserError: for the first mistake found.
  """
  # Its fields are FSNet's and more.
  shared = config.copy_and_resolve_references()
  with shared.unlocked():
    shared.task = 'fsnet'
  validation.check(shared)
  for path, choices in _CHOICES.items():
    if _get(config, path) not in choices:
      raise UserError(
        f'config.{path} is {_get(config, path)!r}: choose one of '
        f'{", ".join(choices)}.'
      )
  _check_numbers(config)
  _check_folds(config)
  _check_explanation(config)
  _check_companions(config)
  _check_beginning(config)
  _check_end(config)
  strategy = acquisition.create(config.acquisition.strategy)
  region_selectors.create(config, strategy.means.asks)
  learners.create(config)
  if strategy.means.embedding == 'gradient':
    gradient_embedding.classifier(config)
  oracles.create(config.oracle, config.seed)
  depth.create(config.depth)
