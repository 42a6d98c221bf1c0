"""From a config to a training of the user's own, by a command."""

import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path

from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.builders import external
from segxal_jax import acquisition
from segxal_jax.explanation import from_outputs

# What a command must be told, and what it may be.
_REQUIRED = ('{pool}', '{model}')
_FIELD = 'config.learner.command'


def is_command(config: ConfigDict) -> bool:
  """Whether a command of the user's trains, and not this program."""
  return config.learner.kind == 'command'


def begins_with(config: ConfigDict) -> bool:
  """Whether a network is given that asks first, before any training."""
  return is_command(config) and external.is_external(config)


def arguments(command: str, values: Mapping[str, str] = {}) -> list[str]:  # noqa: B006
  """The words of a command; no shell reads them.

  Args:
    command: `config.learner.command`.
    values: what stands for `{name}` in a word.

  Raises:
    UserError: it is empty, or a quotation mark has no partner.
  """
  try:
    words = shlex.split(command)
  except ValueError as error:
    raise UserError(
      f'{_FIELD} is {quoted(command, 120)!r}, which cannot be divided into '
      f'words ({error}): close each quotation mark.'
    ) from error
  if not words:
    raise UserError(
      f"{_FIELD} is empty, but config.learner.kind is 'command': give the "
      "command that trains, like 'python train.py {pool} {model}'."
    )
  for name, value in values.items():
    words = [word.replace(f'{{{name}}}', value) for word in words]
  return words


def check_program(config: ConfigDict) -> None:
  """Raises UserError where the command's program is not there."""
  if not is_command(config):
    return
  program = arguments(config.learner.command)[0]
  if shutil.which(program) is None:
    raise UserError(
      f'{_FIELD} begins with {quoted(program, 120)!r}, which is no program '
      'that can be run: give its path.'
    )


def check(config: ConfigDict) -> None:
  """Checks a command and what it is used with.

  Args:
    config: resolved.

  Raises:
    UserError: for the first mistake found.
  """
  if is_command(config):
    _check_command(config)
    _check_strategy(config)
    _check_unused(config)
    return
  if external.is_external(config):
    raise UserError(
      f'config.segmentation.name is {config.segmentation.name!r}, a network '
      'from elsewhere, which is not trained here: set config.learner.kind to '
      "'command' and config.learner.command to what trains it."
    )
  if config.learner.command:
    raise UserError(
      f"{_FIELD} is given, but config.learner.kind is 'own': set it to "
      "'command'."
    )


def _check_command(config: ConfigDict) -> None:
  words = ' '.join(arguments(config.learner.command))
  missing = [name for name in _REQUIRED if name not in words]
  if missing:
    raise UserError(
      f'{_FIELD} lacks {" and ".join(missing)}: write {{pool}} where the '
      'folder of what is labelled belongs, and {model} where the ONNX file.'
    )
  if config.segmentation.name == 'logits':
    raise UserError(
      "config.segmentation.name is 'logits', which a network that asks first "
      "cannot be: give it as 'onnx' or 'python', or leave the field as it was."
    )


def _check_strategy(config: ConfigDict) -> None:
  """Raises UserError for a strategy that trains networks of its own."""
  strategy = acquisition.create(config.acquisition.strategy)
  if not is_possible(strategy):
    names = [
      one.name for one in acquisition.ACQUISITIONS.values() if is_possible(one)
    ]
    raise UserError(
      f'config.acquisition.strategy is {strategy.name!r}, which needs more of '
      "a network than its outputs, but config.learner.kind is 'command': "
      f'choose one of {", ".join(names)}.'
    )


def is_possible(strategy: acquisition.Acquisition) -> bool:
  """Whether a strategy works with a network's outputs alone."""
  needed = strategy.requirements
  return (
    needed.learner == 'plain'
    and not needed.auxiliary_model
    and set(strategy.needs) <= set(from_outputs.SCORES)
    and (needed.embedding == 'features' or not strategy.needs_embedding)
  )


def _check_unused(config: ConfigDict) -> None:
  """Raises UserError for what only a network of this package has."""
  of_own = "is of this package's networks: leave it"
  if config.eem.gamma:
    raise UserError(f'config.eem.gamma {of_own} 0.')
  if config.cam.layer:
    raise UserError(
      f"config.cam.layer {of_own} '', and name the input of the last "
      'convolution in outputs.features of model.json.'
    )
  if (config.cam.method, config.cam.z) != ('gradcam', 'cells'):
    raise UserError(
      f'config.cam.method and config.cam.z {of_own} gradcam and cells, which '
      'have a closed form at the last convolution.'
    )
  for name, value in config.init.items():
    if value:
      raise UserError(f"config.init.{name} {of_own} ''.")


def written(workdir: Path, cycle: int) -> Path:
  """The ONNX file that the command writes in a cycle."""
  return workdir / 'cycles' / f'{cycle:03d}' / 'model.onnx'


def is_given(config: ConfigDict, cycle: int) -> bool:
  """Whether a cycle's network is the one that the user gave to begin with."""
  return cycle == 1 and begins_with(config)


def config_of_cycle(
  config: ConfigDict, workdir: Path, cycle: int
) -> ConfigDict:
  """The config in which S is the network of a cycle, as the builders take it.

  Args:
    config: of the run.
    workdir: its folder.
    cycle: of the loop.
  """
  changed = config.copy_and_resolve_references()
  with changed.unlocked():
    # Of networks that change each cycle, of which each sees an image once.
    changed.segmentation.cache = 'off'
    if not is_given(config, cycle):
      changed.segmentation.name = 'onnx'
      changed.segmentation.path = str(written(workdir, cycle))
  return changed
