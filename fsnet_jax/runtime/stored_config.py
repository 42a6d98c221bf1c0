"""The config that a run keeps in its folder, and what of it may change.

Imports nothing heavy: `main.py` asks it before jax is there.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.files import read_json_object
from common_lib.foreign import quoted
from common_lib.paths import expanded
from fsnet_jax.config import fields, run_paths
from fsnet_jax.config.fields import Field

FILE = 'config.json'
# What `--mode` can be; which of them a task knows, its `cli` says.
MODES = ('train', 'evaluate', 'check', 'calibrate', 'predict')

# What must stay as it was between two commands that train, and, where only a
# look is taken at what has been trained, also what was fitted with it.
_TRAINED = (
  fields.DATA
  | fields.START
  | fields.PHASE1
  | fields.PHASE2
  | fields.PHASE3
  | fields.CYCLES
)
_FITTED = _TRAINED | fields.FIT
# Which cells, seeds and methods a table shows; what a fit depends on, its own
# description says.
_OF_TASK = {
  'ablation': ('ablation.',),
  'compare': ('compare.',),
  'fit': ('fit.',),
}

# The config file of `--config` where that is left out.
_STAND_IN = Path('configs', 'stored_run.py')
_CONFIG_GIVEN = re.compile(r'--?config(=|$)')
_WORKDIR_GIVEN = re.compile(r'--?workdir(?:=(.*))?$')
_SHOWN = 3


def flatten(tree: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
  """Nested dicts as one, with dotted keys."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[prefix + key] = value
  return flat


def as_plain(config: ConfigDict) -> dict[str, Any]:
  """A `ConfigDict` as JSON gives it back: tuples become lists."""
  return json.loads(json.dumps(config.to_dict()))


def read(workdir: Path) -> dict[str, Any]:
  """The config that a run has stored.

  Args:
    workdir: of the run.

  Raises:
    UserError: there is none, or the file is damaged.
  """
  return read_json_object(
    workdir / FILE,
    what='the config of a run',
    fix='choose another --workdir or delete this one',
  )


def differences(
  stored: Mapping[str, Any],
  present: Mapping[str, Any],
  mode: str,
  table: Mapping[str, Field] = fields.FIELDS,
) -> list[str]:
  """The fields of a command that must be as the run has them, and are not.

  Args:
    stored: the run's config, as `read` returns it.
    present: the command's, as `as_plain` returns it.
    mode: of the command; one that trains may change other fields than one
      that looks at what has been trained.
    table: of the fields of such a config.

  Returns:
    In words, `batch_size was 8 and is now 4`; by name.
  """
  task = present.get('task', '')
  free = _OF_TASK.get(task, ())
  decided = _TRAINED if mode == 'train' else _FITTED
  old, new = flatten(stored), flatten(present)
  keys = old.keys() | new.keys()
  if mode != 'train':
    # Newer versions of the program have fields that an older run has not.
    keys = keys & old.keys()
  return [
    f'{key} was {quoted(repr(old.get(key)))} and is now '
    f'{quoted(repr(new.get(key)))}'
    for key in sorted(keys)
    if old.get(key) != new.get(key)
    and not run_paths.same(old.get(key), new.get(key))
    and not (key.startswith(free) or fields.may_differ(key, decided, table))
  ]


def in_words(changed: Sequence[str]) -> str:
  """The first of `differences`, and how many more there are."""
  more = f' (and {len(changed) - _SHOWN} more)' * (len(changed) > _SHOWN)
  return '; '.join(changed[:_SHOWN]) + more


def completed(argv: Sequence[str], root: Path) -> list[str]:
  """The command line, with the config of its `--workdir` if it names none.

  Args:
    argv: the command line, the program first.
    root: folder of `main.py`.

  Returns:
    `argv` as it is where it has `--config`, or where `--workdir` has no stored
    config; else with a `--config` more, which reads that.
  """
  argv = list(argv)
  words = argv[1:]
  if '--' in words:
    words = words[: words.index('--')]
  if any(_CONFIG_GIVEN.match(word) for word in words):
    return argv
  workdir = None
  for place, word in enumerate(words):
    found = _WORKDIR_GIVEN.match(word)
    if found:
      workdir = found.group(1) or ''.join(words[place + 1 : place + 2])
  if not workdir or not (expanded(workdir) / FILE).exists():
    return argv
  # A ':' ends the name of a config file.
  file = os.path.relpath(root / _STAND_IN)
  return [argv[0], f'--config={file}:{workdir}', *argv[1:]]


def _run_of(config_file: str) -> str:
  """The `--workdir` that a config was taken from; '' for other configs."""
  file, _, argument = config_file.partition(':')
  return argument if Path(file).name == _STAND_IN.name else ''


def config_name(config_file: str) -> str:
  """What a report calls the config, and the default folder of its run.

  Args:
    config_file: the value of `--config`.
  """
  if workdir := _run_of(config_file):
    return expanded(workdir).absolute().name
  file, _, argument = config_file.partition(':')
  return '_'.join(filter(None, [Path(file).stem, argument]))


def check_overrides(
  config: ConfigDict,
  config_file: str,
  mode: str,
  table: Mapping[str, Field] = fields.FIELDS,
) -> None:
  """Raises UserError for a field that a finished run does not let change.

  Args:
    config: the command's.
    config_file: the value of `--config`; nothing is checked where the config
      is not a run's.
    mode: of the command.
    table: of the fields of such a config.
  """
  workdir = _run_of(config_file)
  if not workdir:
    return
  changed = differences(read(expanded(workdir)), as_plain(config), mode, table)
  if changed:
    raise UserError(
      f'--workdir={workdir} is a run whose {in_words(changed)}: only fields of '
      'its evaluation (config.eval) and of where data are may differ.'
    )
