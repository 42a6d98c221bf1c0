"""The config of a run that exists, from its folder.

    python main.py --workdir=runs/x --mode=evaluate \
        --config.eval.datasets="('streets/night',)"

is the same with `--config=configs/stored_run.py:runs/x`. Only fields of the
evaluation and of where data are may differ from the run's.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import ml_collections

from common_lib import files, paths
from common_lib.errors import UserError
from configs import common, segxal_common

# Every version of the program has stored these.
_ALWAYS = {'task', 'seed', 'image_size', 'data', 'eval'}
# What runs were before there was such a field, where that is not its default.
_BEFORE = {'fit.pixel.colorless': False, 'fit.pixel.stride': 1}


def get_config(workdir: str) -> ml_collections.ConfigDict:
  """The config as the run had it, with the types that configs have.

  Fields that the program has learnt since have their default, or what stands
  for how such a run was.

  Args:
    workdir: of the run.

  Raises:
    UserError: there is no run, or its config is damaged.
  """
  path = paths.expanded(workdir) / 'config.json'
  stored = files.read_json_object(
    path,
    what='the config of a run',
    fix='give --config, or the --workdir of a run',
  )
  if not stored.keys() >= _ALWAYS:
    raise UserError(
      f'{path} is no config of a run: give --config, or the --workdir of a run.'
    )
  shared = segxal_common if stored.get('task') == 'segxal' else common
  default = shared.get_config().to_dict()
  return ml_collections.ConfigDict(_joined(path, stored, default, ''))


def _joined(
  path: pathlib.Path,
  stored: Mapping[str, Any],
  default: Mapping[str, Any],
  prefix: str,
) -> dict[str, Any]:
  """What is stored, in the types of the defaults, and what is missing."""
  joined = {}
  for key in (*stored, *(key for key in default if key not in stored)):
    if key in stored:
      value = _tuples(stored[key])
    else:
      value = _BEFORE.get(prefix + key, default[key])
    if key in default:
      _check_type(path, prefix + key, value, default[key])
      if isinstance(value, dict):
        value = _joined(path, value, default[key], f'{prefix}{key}.')
    joined[key] = value
  return joined


def _tuples(value: Any) -> Any:
  """JSON has lists where configs have tuples."""
  if isinstance(value, list):
    return tuple(map(_tuples, value))
  if isinstance(value, dict):
    return {key: _tuples(entry) for key, entry in value.items()}
  return value


def _check_type(
  path: pathlib.Path, field: str, value: Any, default: Any
) -> None:
  """A whole number may stand for another number, and nothing for anything."""
  same = type(value) is type(default)
  number = isinstance(default, float) and type(value) is int
  if not same and not number:
    raise UserError(
      f'{path}, the config of a run, is damaged: its {field} is no '
      f'{type(default).__name__}: give --config, or the --workdir of another '
      'run.'
    )
