"""Finds mistakes in a config before anything is compiled."""

import difflib
from collections.abc import Iterable
from typing import Any

from common_lib.errors import UserError
from fsnet_jax.builders.networks import NETWORKS
from fsnet_jax.detectors import DETECTORS, register

# What `main.py` can do with a config of this package.
TASKS = ('fsnet', 'ablation', 'fit', 'compare')

_CHOICES = {
  'data.on_error': ('stop', 'skip'),
  'compute_dtype': ('float32', 'bfloat16'),
  'segmentation.name': tuple(NETWORKS),
  'failure.decoder': ('skips', 'literal', 'four_scale'),
  'failure.branches': ('multi', 'single'),
  'failure.w4': ('scaled', 'raw'),
  'optimizer.kind': ('sgd', 'adam'),
  'optimizer.schedule': ('constant', 'poly'),
  'switch': ('steps', 'plateau'),
  'loss.form': ('balanced', 'pos_weight'),
  'eval.checkpoint': ('last', 'best'),
  'eval.resize': ('squeeze', 'letterbox'),
}
# What each network looks at beside the fields that all have.
_NETWORK_CHOICES = {
  'fcn8': {
    'segmentation.padding': ('pad99', 'same'),
    'segmentation.features': ('pool5', 'fc7'),
  },
  'deeplab_v2': {
    'segmentation.head': ('synthcp', 'v2'),
    'segmentation.features': ('layer4', 'aspp'),
  },
  'unet': {'segmentation.features': ('bottleneck',)},
}
_POSITIVE = (
  'batch_size',
  'width',
  'optimizer.learning_rate',
  'optimizer.failure_learning_rate',
  'segmentation.input_scale',
  'eval.batch_size',
  'eval.dropout_samples',
  'fit.tcp.steps',
  'fit.tcp.batch_size',
  'fit.tcp.learning_rate',
  'fit.direct.steps',
  'fit.direct.batch_size',
  'fit.direct.learning_rate',
  'fit.synthcp.steps',
  'fit.synthcp.batch_size',
  'fit.synthcp.learning_rate',
  'fit.synthcp.gan_steps',
  'fit.synthcp.gan_batch_size',
  'fit.synthcp.generator_learning_rate',
  'fit.synthcp.discriminator_learning_rate',
  'failure.blocks',
  'log_every_steps',
  'checkpoint_every_steps',
  'plateau.patience',
)
_NOT_NEGATIVE = (
  'phase1_steps',
  'phase2_steps',
  'data.num_train',
  'data.num_validation',
  'data.num_test',
  'data.num_workers',
  'eval.num_examples',
  'eval.exact_pixels',
  'loss.l2_weight',
  'loss.l2_warmup_steps',
  'segmentation.head_width',
  'failure.width',
  'fit.width',
  'fit.synthcp.gan_width',
  'optimizer.weight_decay',
  'optimizer.clip_norm',
)
_FAILURE_INPUTS = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')


def _get(config: Any, path: str) -> Any:
  for name in path.split('.'):
    config = config[name]
  return config


def suggestion(word: str, known: Iterable[str]) -> str:
  """' Did you mean X?' for a near miss, else ''."""
  close = difflib.get_close_matches(word, list(known), n=1)
  return f' Did you mean {close[0]}?' if close else ''


def _check_choices(config: Any) -> None:
  for path, choices in _CHOICES.items():
    value = _get(config, path)
    if value not in choices:
      raise UserError(
        f'config.{path} is {value!r}: choose one of {", ".join(choices)}.'
      )
  name = config.segmentation.name
  for path, choices in _NETWORK_CHOICES[name].items():
    value = _get(config, path)
    if value not in choices:
      raise UserError(
        f'config.{path} is {value!r}: {name} offers {", ".join(choices)}.'
      )


def _check_numbers(config: Any) -> None:
  for path in _POSITIVE:
    if not _get(config, path) > 0:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it must be greater than 0.'
      )
  for path in _NOT_NEGATIVE:
    if not _get(config, path) >= 0:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it must not be negative.'
      )
  for path, upper in (
    ('segmentation.dropout_rate', 1),
    ('optimizer.momentum', 1),
  ):
    if not 0 <= _get(config, path) < upper:
      raise UserError(
        f'config.{path} is {_get(config, path)}: it must be at least 0 and '
        f'less than {upper}.'
      )


def _check_fraction(config: Any) -> None:
  if not 0 < config.data.train_fraction <= 1:
    raise UserError(
      f'config.data.train_fraction is {config.data.train_fraction}: it must be '
      'more than 0 and at most 1.'
    )


def _check_tuples(config: Any) -> None:
  size = config.image_size
  if len(size) != 2 or any(
    not isinstance(side, int) or side < 1 for side in size
  ):
    raise UserError(
      f'config.image_size is {tuple(size)}: give two positive whole numbers, '
      '(height, width).'
    )
  blocks = config.segmentation.blocks
  if len(blocks) != 4 or any(
    not isinstance(count, int) or count < 1 for count in blocks
  ):
    raise UserError(
      f'config.segmentation.blocks is {tuple(blocks)}: give four positive '
      'whole numbers, ResNet101 has (3, 4, 23, 3).'
    )
  low, high = config.loss.beta_range
  if not 0 < low <= high < 1:
    raise UserError(
      f'config.loss.beta_range is {(low, high)}: it needs 0 < low <= high < 1.'
    )
  for path, known in (
    ('eval.detectors', tuple(DETECTORS)),
    ('failure.inputs', _FAILURE_INPUTS),
  ):
    for name in _get(config, path):
      if name not in known:
        raise UserError(
          f'config.{path} names {name!r}, which does not exist: choose from '
          f'{", ".join(known)}.{suggestion(name, known)}'
        )
  if not config.eval.datasets:
    raise UserError('config.eval.datasets is empty: name a data set.')


def check(config: Any) -> None:
  """Checks every field that can be checked without data or devices.

  Args:
    config: a `ConfigDict` as `configs/common.py` lays it out. A `module:Class`
      of `eval.detectors` becomes the name of that detector, which everything
      after finds in the table.

  Raises:
    UserError: for the first mistake found.
  """
  if config.task not in TASKS:
    raise UserError(
      f'config.task is {config.task!r}: choose one of {", ".join(TASKS)}.'
    )
  if config.phase1_steps + config.phase2_steps == 0:
    raise UserError(
      'config.phase1_steps and config.phase2_steps are both 0: nothing would '
      'be trained.'
    )
  if config.switch == 'plateau' and not config.data.validation_split:
    raise UserError(
      "config.switch is 'plateau', which needs config.data.validation_split "
      'to be set.'
    )
  config.eval.detectors = register(config.eval.detectors)
  _check_choices(config)
  _check_numbers(config)
  _check_fraction(config)
  _check_tuples(config)
