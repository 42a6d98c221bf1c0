"""The command line -> a checked config, or one sentence, before jax loads."""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags
from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.flag_errors import flag_problem
from fsnet_jax.config import config_file, fields, help_text, resolution
from fsnet_jax.config.kinds import Flag, Many

_HELP = ('-h', '-help', '--help', '-?', '--helpfull', '--helpshort', '--h')
_OVERRIDE = re.compile(r'--?(no)?config\.([^=]*)(=?)(.*)', re.DOTALL)
Fields = Mapping[str, fields.Field]


class Override(NamedTuple):
  """A field of the config that the command line sets.

  Attributes:
    name: of the field, dotted.
    text: its value.
  """

  name: str
  text: str


def parse(
  argv: Sequence[str], values: flags.FlagValues, tables: Mapping[str, Fields]
) -> ConfigDict:
  """Reads the command line, or prints help and exits.

  Args:
    argv: the command line with the program's name.
    values: the flags of the program, which are set; `config` is one of them.
    tables: of fields by the task that has one of its own.

  Returns:
    The config with the overrides, as `resolution.resolved` leaves it.

  Raises:
    UserError: for the first mistake found.
  """
  try:
    arguments = values.read_flags_from_files(list(argv[1:]), force_gnu=False)
    wants_help = any(argument in _HELP for argument in arguments)
    arguments = [a for a in arguments if a not in _HELP]
    rest, overrides = split(arguments, [fields.FIELDS, *tables.values()])
    positional = values([argv[0], *rest])[1:]
  except (flags.Error, OSError) as error:
    known = {name for table in tables.values() for name in table}
    raise UserError(
      flag_problem(error, list(values), [*fields.FIELDS, *known])
    ) from None
  if positional:
    raise UserError(
      f'unexpected argument {positional[0]!r}: flags are written --name=value.'
    )
  if values.config is None and wants_help:
    _print(help_text.text(values, tables))
  if not values.config:
    raise UserError(
      '--config is missing: for example --config=configs/fsnet_fcn8.py'
    )
  config = with_overrides(config_file.load(values.config), overrides, tables)
  if wants_help:
    _print(help_text.text(values, tables, config))
  return config


def _print(text: str) -> None:
  """Prints the help and ends the program."""
  try:
    print(text, flush=True)
  except BrokenPipeError:  # `--help | head`
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  sys.exit(0)


def split(
  arguments: Sequence[str], tables: Sequence[Fields]
) -> tuple[list[str], list[Override]]:
  """Takes the overrides of the config out of a command line.

  Args:
    arguments: without the program's name.
    tables: all tables of fields; they say which can stand without a value.

  Returns:
    The other arguments, and the overrides in their order.

  Raises:
    UserError: an override without a value.
  """
  rest, overrides, left = [], [], list(arguments)
  while left:
    argument = left.pop(0)
    if argument == '--':
      return [*rest, argument, *left], overrides
    match = _OVERRIDE.fullmatch(argument)
    if match is None:
      rest.append(argument)
      continue
    negated, name, equals, text = match.groups()
    rows = [fields.find(name, table) for table in tables]
    is_flag = any(row and isinstance(row.kind, Flag) for row in rows)
    if negated and equals:
      raise UserError(
        f'{argument} has a value: write --config.{name}={text} or '
        f'--noconfig.{name}.'
      )
    if not equals and (negated or is_flag):
      text = 'false' if negated else 'true'
    elif not equals:
      if not left or left[0].startswith('--'):
        raise UserError(f'{argument} has no value: write {argument}=VALUE.')
      text = left.pop(0)
    overrides.append(Override(name, text))
  return rest, overrides


def with_overrides(
  config: ConfigDict,
  overrides: Sequence[Override],
  tables: Mapping[str, Fields],
) -> ConfigDict:
  """A config with the command line's values, checked.

  Args:
    config: of a file or of a finished run; it is not changed.
    overrides: in the order of the command line. The last one of a field
      counts; a field of several values takes them all.
    tables: as `parse`.

  Raises:
    UserError: for the first mistake found.
  """
  plain = config.copy_and_resolve_references().to_dict()
  texts: dict[str, list[str]] = {}
  for name, text in overrides:
    texts.setdefault(name, []).append(text)
  task = texts.get('task', [plain.get('task')])[-1]
  table = fields.FIELDS
  if isinstance(task, str):
    table = tables.get(task, table)
  for name, given in texts.items():
    _put(plain, name, _value(name, given, plain, table))
  return resolution.resolved(ConfigDict(plain), table)


def _value(
  name: str, texts: list[str], config: Mapping[str, Any], table: Fields
) -> Any:
  """What the texts of one field stand for."""
  row = fields.find(name, table)
  if row is None:
    if name in resolution.sections_of(table):
      raise UserError(
        f'config.{name} is a section: set its fields one by one, '
        f'--config.{name}.FIELD=VALUE.'
      )
    raise UserError(resolution.no_field(name, table))
  if row.task and name.partition('.')[0] not in config:
    raise UserError(
      f'this config has no field {name!r}: it is for config.task={row.task!r}.'
    )
  kind = row.kind
  if isinstance(kind, Many):
    value = texts[0] if len(texts) == 1 else texts
    return resolution.in_a_sentence(
      name, value, lambda _: kind.parse_all(texts)
    )
  return resolution.in_a_sentence(name, texts[-1], kind.parse)


def _put(config: dict[str, Any], name: str, value: Any) -> None:
  *parents, leaf = name.split('.')
  for parent in parents:
    if not isinstance(config.get(parent), dict):
      return  # The check of the whole says what is wrong there.
    config = config[parent]
  config[leaf] = value
