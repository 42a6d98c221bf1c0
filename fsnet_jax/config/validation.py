"""Finds mistakes in a config before anything is compiled."""

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax import detectors
from fsnet_jax.config import names, resolution

# What `main.py` can do with a config of this package.
TASKS = ('fsnet', 'ablation', 'fit', 'compare')


def check(config: ConfigDict) -> None:
  """Checks what can be checked without data or devices; changes nothing.

  Args:
    config: a `ConfigDict` as `configs/common.py` lays it out.

  Raises:
    UserError: for the first mistake found.
  """
  config = resolution.resolved(config)
  if config.task not in TASKS:
    raise UserError(
      f'config.task is {config.task!r}: choose one of {", ".join(TASKS)}.'
    )
  check_together(config)


def check_together(config: ConfigDict) -> None:
  """The rules that more than one field has a part in.

  Args:
    config: `resolution.resolved`, of this package or one that adds to it.

  Raises:
    UserError: for the first mistake found.
  """
  _check_steps(config)
  if config.switch == 'plateau' and not config.data.validation_split:
    raise UserError(
      "config.switch is 'plateau', which needs config.data.validation_split "
      'to be set.'
    )
  low, high = config.loss.beta_range
  if not low <= high:
    raise UserError(
      f'config.loss.beta_range is {(low, high)}: it needs 0 < low <= high < 1.'
    )
  detectors.resolve(config.eval.detectors)


def _check_steps(config: ConfigDict) -> None:
  """Raises UserError where nothing, or an S of random weights, is left."""
  joint = config.phase1_steps + config.phase2_steps
  elsewhere = config.segmentation.name in names.ELSEWHERE
  if elsewhere:
    _check_elsewhere(config)
  elif config.segmentation.path or config.segmentation.members:
    raise UserError(
      'config.segmentation has a path or members, but '
      f'{config.segmentation.name} is a network of this package: set '
      f'config.segmentation.name to one of {", ".join(names.ELSEWHERE)}.'
    )
  if joint:
    return
  if not config.phase3_steps:
    raise UserError(
      'config.phase1_steps, config.phase2_steps and config.phase3_steps are '
      'all 0: nothing would be trained.'
    )
  if not (config.init.segmentation or elsewhere):
    raise UserError(
      'config.phase1_steps and config.phase2_steps are both 0, so that phase 3 '
      'would watch an S of random weights: name a trained one in '
      'config.init.segmentation.'
    )


def _check_elsewhere(config: ConfigDict) -> None:
  """Raises UserError for what cannot be with an S from elsewhere."""
  name = config.segmentation.name
  if not config.segmentation.path:
    raise UserError(
      f'config.segmentation.path is empty: config.segmentation.name={name!r} '
      'needs the ONNX file, the folder of logits, or module:function.'
    )
  for field in ('phase1_steps', 'phase2_steps'):
    if config[field]:
      raise UserError(
        f'config.{field} is {config[field]}, but {name} is a network from '
        'elsewhere, which is not trained here: set it to 0 (configs/own.py '
        'does).'
      )
  for field in ('backbone', 'segmentation'):
    if config.init[field]:
      raise UserError(
        f'config.init.{field} is {config.init[field]!r}, but {name} is a '
        'network from elsewhere, which brings its own weights: leave it empty.'
      )
  if config.fit.predictions == 'folds':
    raise UserError(
      "config.fit.predictions is 'folds', which trains networks like S: a "
      "network from elsewhere needs 'own'."
    )
