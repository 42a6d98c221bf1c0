"""Class tables of a user's own: `classes.json`, read, checked and written.

  {"classes": [{"name": "road", "color": [128, 64, 128], "ids": [7]}, ...],
   "void_ids": [0, 255],
   "groups": {"flat": ["road", "sidewalk"], ...}}

The order of `classes` is the class index; `ids` are the values of the label
files; `void_ids` and `groups` may be left out. A config keeps the table itself,
as one line of JSON, so that a run does not depend on the file any more.
"""

from __future__ import annotations

import functools
import json
import pathlib
from typing import Any, NoReturn

from common_lib.class_table import (
  CITYSCAPES,
  MOST_CLASSES,
  VOID,
  ClassTable,
  Color,
)
from common_lib.errors import UserError
from common_lib.files import read_json_object
from common_lib.foreign import quoted

# In a data set's folder.
FILE = 'classes.json'
_FIX = 'write it as docs/guide/your_network.md shows'
_KNOWN = {'classes', 'void_ids', 'groups'}
_MOST = 2**16 - 1


def read(path: pathlib.Path) -> ClassTable:
  """Reads a class table.

  Args:
    path: of a JSON file, see above.

  Raises:
    UserError: there is no such file, or it is no class table; the sentence
      names the entry.
  """
  if not path.is_file():
    raise UserError(f'{path}: there is no class table; {_FIX}')
  return parsed(read_json_object(path, what='a class table', fix=_FIX), path)


def to_text(table: ClassTable) -> str:
  """A table as one line of JSON; '' for the default, Cityscapes' own."""
  return '' if table == CITYSCAPES else to_json(table)


def to_json(table: ClassTable) -> str:
  """A table as one line of JSON, whichever it is."""
  rows = zip(table.names, table.colors, table.ids, strict=True)
  return json.dumps(
    {
      'classes': [
        {'name': name, 'color': list(color), 'ids': list(ids)}
        for name, color, ids in rows
      ],
      'void_ids': list(table.void_ids),
      'groups': {name: list(own) for name, own in table.groups},
    }
  )


@functools.lru_cache(maxsize=32)
def from_text(text: str) -> ClassTable:
  """The table of `to_text`.

  Raises:
    UserError: the text is not one.
  """
  if not text:
    return CITYSCAPES
  where = 'config.data.classes'
  try:
    value = json.loads(text)
  except (ValueError, RecursionError) as error:
    raise UserError(
      f'{where} is no JSON ({quoted(error, 80)}): give the path of a file like '
      f'{FILE}.'
    ) from error
  return parsed(value, where)


def parsed(value: Any, where: object) -> ClassTable:
  """A class table out of parsed JSON.

  Args:
    value: see above.
    where: what the sentence begins with.

  Raises:
    UserError: it is no class table.
  """
  if not isinstance(value, dict):
    raise UserError(f'{where}: not a JSON object; {_FIX}')
  unknown = sorted(value.keys() - _KNOWN)
  if unknown:
    _refuse(where, quoted(unknown[0], 40), 'no key of a class table')
  classes = value.get('classes')
  if not isinstance(classes, list) or len(classes) < 2:
    _refuse(where, 'classes', 'no list of two or more classes')
  if len(classes) > MOST_CLASSES:
    _refuse(where, 'classes', f'longer than {MOST_CLASSES} entries')
  rows = [_class(one, f'classes[{i}]', where) for i, one in enumerate(classes)]
  # trainIds have 255; whoever means something else lists other values.
  void_ids = _ids(value.get('void_ids', [VOID]), 'void_ids', where)
  names, colors, ids = zip(*rows, strict=True)
  _check_unlike([[n] for n in names], 'name', where)
  _check_unlike([[c] for c in colors], 'color', where)
  _check_unlike([*ids, void_ids], 'id', where)
  return ClassTable(
    names, colors, ids, void_ids, _groups(value.get('groups'), names, where)
  )


def _refuse(where: object, entry: str, problem: str) -> NoReturn:
  raise UserError(f'{where}: {entry} is {problem}; {_FIX}')


def _class(
  value: Any, entry: str, where: object
) -> tuple[str, Color, tuple[int, ...]]:
  """Name, colour and ids of one class."""
  if not isinstance(value, dict) or not {'name', 'color', 'ids'} <= set(value):
    _refuse(where, entry, 'no object with name, color and ids')
  name, color = value['name'], value['color']
  if not isinstance(name, str) or not name.strip() or len(name) > 80:
    _refuse(where, f'{entry}.name', f'{quoted(name, 40)!r}, no short text')
  if not name.isprintable() or name in ('void', 'unlabelled'):
    _refuse(where, f'{entry}.name', f'{quoted(name, 40)!r}, no class name')
  whole = isinstance(color, list) and len(color) == 3
  if not whole or not all(_is_whole(c, 255) for c in color):
    _refuse(
      where,
      f'{entry}.color',
      f'{quoted(color, 40)}, not [red, green, blue] of 0 to 255',
    )
  red, green, blue = color
  ids = _ids(value['ids'], f'{entry}.ids', where)
  if not ids:
    _refuse(where, f'{entry}.ids', 'empty')
  return name, (red, green, blue), ids


def _ids(value: Any, entry: str, where: object) -> tuple[int, ...]:
  """Values of label files."""
  if not isinstance(value, list) or not all(_is_whole(i, _MOST) for i in value):
    problem = f'{quoted(value, 40)}, no list of whole numbers of 0 to {_MOST}'
    _refuse(where, entry, problem)
  return tuple(value)


def _is_whole(value: Any, most: int) -> bool:
  return (
    isinstance(value, int)
    and not isinstance(value, bool)
    and 0 <= value <= most
  )


def _check_unlike(values: list[Any], what: str, where: object) -> None:
  """Raises UserError for something that two classes share."""
  seen = set()
  for own in values:
    for value in own:
      if value in seen:
        raise UserError(
          f'{where}: {what} {quoted(value, 40)} stands twice; give each class '
          'its own'
        )
      seen.add(value)


def _groups(
  value: Any, names: tuple[str, ...], where: object
) -> tuple[tuple[str, tuple[str, ...]], ...]:
  """Coarse classes, of which each class is in one."""
  if not value:
    return ()
  lists = isinstance(value, dict) and all(
    isinstance(own, list) for own in value.values()
  )
  if not lists:
    _refuse(where, 'groups', 'no object of lists of class names')
  members = [str(name) for own in value.values() for name in own]
  _check_unlike([[name] for name in members], 'group member', where)
  if sorted(members) != sorted(names):
    odd = sorted(set(members) ^ set(names))
    raise UserError(
      f'{where}: groups and classes differ in {quoted(odd[0], 40)!r}; give '
      'each class exactly one group, or leave groups out'
    )
  return tuple((str(name), tuple(own)) for name, own in value.items())
