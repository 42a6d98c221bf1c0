"""A config as a user gives it -> one whose every field is what its row says."""

import difflib
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from common_lib import class_table_file
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.paths import expanded
from fsnet_jax.config import fields as field_table
from fsnet_jax.config.fields import Field
from fsnet_jax.config.kinds import Kind, PathText, Unfit, shown
from fsnet_jax.config.words import ByNetwork

_START = 'begin with get_config() of configs/common.py or of a shipped config'
Fields = Mapping[str, Field]


def resolved(config: object, fields: Fields = field_table.FIELDS) -> ConfigDict:
  """A copy in which every field is checked, and every path has its `~` solved.

  Lists become tuples, and whole numbers that stand for numbers floats, so
  that a config that was stored as JSON is the one that it was.

  Args:
    config: what `get_config` returned, or its stored form in a `ConfigDict`.
    fields: the table of what it may hold.

  Returns:
    Another config, locked.

  Raises:
    UserError: for the first mistake found: a field that there is not, one
      that is missing, or one with a value of a wrong type, length or range.
  """
  if not isinstance(config, ConfigDict):
    raise UserError(
      f'The config is a {type(config).__name__}, not a ConfigDict: {_START}.'
    )
  plain = config.copy_and_resolve_references()
  sections = sections_of(fields)
  network = get(plain, 'segmentation.name')
  result = _section(plain, '', _Table(fields, sections, network))
  _check_complete(result, fields)
  _take_classes(result)
  result.failure.blocks = failure_blocks(result)
  return result.lock()


def _take_classes(config: ConfigDict) -> None:
  """Keeps the class table that lies in a folder of a user's own."""
  data = config.data
  path = expanded(data.root) / class_table_file.FILE
  if data.name == 'folder' and not data.classes and path.is_file():
    data.classes = class_table_file.to_text(class_table_file.read(path))


def failure_blocks(config: ConfigDict) -> int:
  """How many blocks F's encoders have in each stage; 2 is ResNet18.

  `resolved` keeps it in the config, and so with the run: `failure.preset` may
  be another one when a run is evaluated, and its weights are what they are.
  """
  is_resnet18 = config.failure.preset == 'paper' or config.init.failure_encoder
  return config.failure.blocks or (2 if is_resnet18 else 1)


class _Table(NamedTuple):
  """What a config is read by: rows, names of sections, and S's network."""

  fields: Fields
  sections: Collection[str]
  network: Any


def _section(given: Any, prefix: str, table: _Table) -> ConfigDict:
  """`resolved`, of one section; `prefix` is its name and a dot, or empty."""
  result = ConfigDict()
  for key, value in given.items():
    name = f'{prefix}{key}'
    if name not in table.sections:
      result[key] = _field(name, value, table)
    elif isinstance(value, (ConfigDict, dict)):
      result[key] = _section(value, f'{name}.', table)
    else:
      raise UserError(
        f'config.{name} is {shown(value)}, but it is a section with fields of '
        f'its own: {_START}.'
      )
  return result


def _field(name: str, value: Any, table: _Table) -> Any:
  """The value of one field, as its row has it."""
  nested = isinstance(value, (ConfigDict, dict))
  row = field_table.find(name, table.fields)
  if row is None:
    while isinstance(value, (ConfigDict, dict)) and value:
      key, value = next(iter(value.items()))
      name = f'{name}.{key}'
    raise UserError(no_field(name, table.fields))
  if nested:
    raise UserError(
      f'config.{name} is a section, but it is a field: give it '
      f'{row.kind.needed}.'
    )
  section, _, key = name.rpartition('.')
  if section in field_table.OPEN_SECTIONS:
    read(name, field_table.OPEN_SECTIONS[section], key)
  kind = row.kind
  if isinstance(kind, ByNetwork):
    kind = kind.of(table.network)
  return read(name, kind, value)


def sections_of(fields: Fields) -> dict[str, None]:
  """The names of all sections of a table, in its order."""
  found = {}
  for name in fields:
    parts = name.split('.')[:-1]
    found |= {'.'.join(parts[: i + 1]): None for i in range(len(parts))}
  return found


def _check_complete(config: ConfigDict, fields: Fields) -> None:
  """Raises UserError for a section or field that is missing."""
  for name, row in fields.items():
    top = name.partition('.')[0]
    if row.task and row.task != config.get('task') and top not in config:
      continue
    place = name.removesuffix('.*')
    section = place if place != name else name.rpartition('.')[0]
    if section and get(config, section) is None:
      raise UserError(f'config has no section {section!r}: {_START}.')
    if get(config, place) is None:
      raise UserError(f'config lacks the field {name!r}: {_START}.')


def get(config: ConfigDict | Mapping[str, Any], name: str) -> Any:
  """The field or section of a dotted name; None if there is none."""
  found: Any = config
  for part in name.split('.'):
    if not isinstance(found, (ConfigDict, dict)) or part not in found:
      return None
    found = found[part]
  return found


def read(name: str, kind: Kind, value: Any) -> Any:
  """A value of a field, as its kind has it.

  Raises:
    UserError: its type, length or range is wrong.
  """
  return _kept(kind, in_a_sentence(name, value, kind.read))


def in_a_sentence(name: str, value: Any, reader: Callable[[Any], Any]) -> Any:
  """What `reader(value)` returns.

  Args:
    name: of the field.
    value: that it was given.
    reader: of its kind, `read` or `parse`.

  Raises:
    UserError: where it raises `Unfit`.
  """
  try:
    return reader(value)
  except Unfit as error:
    inner = error.part and error.part != (value,)
    has = f'has {shown(*error.part)}' if inner else f'is {shown(value)}'
    end = '' if str(error).endswith('?') else '.'
    raise UserError(f'config.{name} {has}: {error}{end}') from None


def _kept(kind: Kind, value: Any) -> Any:
  """A value that is right, with `~` resolved where it is a path."""
  if not isinstance(kind, PathText) or '~' not in value:
    return value
  paths = value.split(',') if kind.several else [value]
  return ','.join(
    str(expanded(path)) if path.startswith('~') else path for path in paths
  )


def no_field(name: str, fields: Fields) -> str:
  """The sentence about a field that there is not."""
  near = _nearest(name, fields)
  hint = f' Did you mean {near}?' if near else ''
  return f'config has no field {quoted(name, 80)!r}.{hint}'


def _nearest(name: str, fields: Fields) -> str:
  """The field or section that was meant; '' where there is no telling."""
  section, _, key = name.rpartition('.')
  sections = sections_of(fields)
  for other in difflib.get_close_matches(section, sections):
    if field_table.find(f'{other}.{key}', fields):
      return f'{other}.{key}'
  known = [field for field in fields if not field.endswith('.*')]
  places = [*known, *sections]
  if not section or section in sections:
    beside = {
      place.rpartition('.')[2]: place
      for place in places
      if place.rpartition('.')[0] == section
    }
    for close in difflib.get_close_matches(key, beside, n=1):
      return beside[close]
  elsewhere = [f for f in known if f.rpartition('.')[2] == key]
  if elsewhere:
    return min(elsewhere, key=lambda field: field.count('.'))
  return next(iter(difflib.get_close_matches(name, places, cutoff=0.8)), '')
