"""What `--help` prints: the flags, and every field of the config."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from absl import flags
from ml_collections import ConfigDict

from fsnet_jax.config import fields, resolution
from fsnet_jax.config.fields import Field
from fsnet_jax.config.kinds import Kind, Many
from fsnet_jax.config.words import Name

_WIDTH = 80
_USAGE = """\
usage: fsnet --config=FILE|NAME[:ARGUMENT] [--config.FIELD=VALUE ...]
             [--workdir=FOLDER] [--mode=train|evaluate|check|calibrate]
       fsnet --workdir=FOLDER --mode=predict --input=FOLDER|GLOB|VIDEO
             --output=FOLDER

`python main.py` in the repository is the same; NAME is that of a file in
configs/.

Runs a config: trains and evaluates, or evaluates alone. Exit codes: 0 done;
2 something for you to change, in one sentence; 75 saved, run it again.
"""
_OURS = (
  'config',
  'workdir',
  'mode',
  'input',
  'output',
  'coordinator_address',
  'num_processes',
  'process_id',
)


def text(
  values: flags.FlagValues,
  tables: Mapping[str, Mapping[str, Field]],
  config: ConfigDict | None = None,
) -> str:
  """The whole of it.

  Args:
    values: the flags of the program.
    tables: of fields by the task that has one of its own.
    config: whose fields are listed with their values; None lists the fields
      of all tasks.
  """
  parts = [_USAGE, 'flags:']
  for name in _OURS:
    if name in values:
      parts.append(_entry(f'--{name}', values[name].help))
  if config is not None:
    parts += ['', 'fields of this config, with their values (--config.FIELD=):']
    table = tables.get(config.task, fields.FIELDS)
    parts += _rows(table, config)
  else:
    parts += ['', 'fields of the config (--config.FIELD=VALUE):']
    parts += _rows(fields.FIELDS, None)
    for task, table in tables.items():
      own = {n: row for n, row in table.items() if n not in fields.COMMON}
      parts += ['', f'fields that config.task={task!r} has beside:']
      parts += _rows(own, None)
    parts += ['', 'with --config=FILE, --help shows the values of that config']
  parts += [
    'what each field is for: configs/common.py, configs/segxal_common.py; '
    'guides: docs/guide'
  ]
  return '\n'.join(parts)


def _rows(
  table: Mapping[str, Field], config: ConfigDict | None
) -> Iterator[str]:
  """A line or two for each field, with a line between sections."""
  last = None
  for name, row in table.items():
    section = name.partition('.')[0] if '.' in name else ''
    if last is not None and section != last:
      yield ''
    last = section
    if config is None:
      yield _entry(_shown_name(name, row), described(row.kind))
      continue
    for place, value in _values(name, config):
      yield _entry(f'{place}={_shown_value(value)}', described(row.kind))


def _shown_name(name: str, row: Field) -> str:
  name = name.replace('.*', '.NAME')
  return f'{name} (task {row.task})' if row.task else name


def _values(name: str, config: ConfigDict) -> Iterator[tuple[str, Any]]:
  """Of an open section, one for each of its keys."""
  if not name.endswith('.*'):
    value = resolution.get(config, name)
    if value is not None:
      yield name, value
    return
  place = name.removesuffix('.*')
  for key, value in resolution.get(config, place).items():
    yield f'{place}.{key}', value


def _shown_value(value: Any) -> str:
  if isinstance(value, tuple):
    inner = ','.join(map(repr, value))
    return f'"({inner},)"' if len(value) == 1 else f'"({inner})"'
  return str(value)


def described(kind: Kind) -> str:
  """What a field takes, with the names that it can give."""
  if isinstance(kind, Many) and isinstance(kind.item, Name):
    return f'{kind.count}, each {described(kind.item)}'
  if not isinstance(kind, Name):
    return kind.needed
  own = ', or module:Class' if kind.own else ''
  return f'{kind.needed}: {", ".join(kind.names)}{own}'


def _entry(name: str, about: str) -> str:
  return textwrap.fill(
    f'{name}  {about}',
    _WIDTH,
    initial_indent='  ',
    subsequent_indent='      ',
    break_long_words=False,
    break_on_hyphens=False,
  )
