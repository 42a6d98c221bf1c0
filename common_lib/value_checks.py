"""Checks of what JSON gives back: type, length, depth and range.

Whoever reads a file that somebody may have damaged or written by hand checks
every value before it is used. All raise ValueError with a sentence that names
the value by its path in the file; the reader makes a `UserError` of it.
"""

import math
import numbers
from collections.abc import Mapping
from typing import Any

from common_lib.foreign import quoted

# No config and no result nests deeper; comparing or walking through deeper
# values would end in Python's limit on recursion.
_DEEPEST = 32
_LONGEST_NAME = 1000
# Largest whole number that others (NumPy, a table of a spreadsheet) can take.
_MOST = (1 << 63) - 1


def check_number(
  value: Any,
  where: str,
  low: float | int = -math.inf,
  high: float | int = math.inf,
) -> None:
  """Raises ValueError unless the value is a finite number in [low, high]."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise ValueError(f'{where} is {_shown(value)}, not a number.')
  try:
    finite = math.isfinite(value)
  except OverflowError:  # a whole number of hundreds of digits
    finite = False
  if not finite:
    raise ValueError(f'{where} is {quoted(value, 60)}, not a finite number.')
  if not low <= value <= high:
    raise ValueError(
      f'{where} is {quoted(value, 60)}, not in [{low:g}, {high:g}].'
    )


def check_count(value: Any, where: str, least: int = 0) -> None:
  """Raises ValueError unless the value is a whole number from `least` on."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral):
    raise ValueError(f'{where} is {_shown(value)}, not a whole number.')
  if value < least:
    raise ValueError(f'{where} is {quoted(value, 60)}, below {least}.')
  if value > _MOST:
    raise ValueError(f'{where} is {quoted(value, 60)}, too large a number.')


def check_name(value: Any, where: str) -> None:
  """Raises ValueError unless the value is a name that can be shown.

  A text, not empty, of at most 1000 characters and no control characters.
  """
  shown = isinstance(value, str) and quoted(value, _LONGEST_NAME) == value
  if not shown or not value:
    raise ValueError(f'{where}: {_shown(value)} is not a name.')


def check_mapping(value: Any, where: str) -> None:
  """Raises ValueError unless the value is a mapping."""
  if not isinstance(value, Mapping):
    raise ValueError(f'{where} is not a mapping.')


def named_entries(value: Any, where: str) -> list[tuple[str, Any]]:
  """The items of a mapping by name.

  Raises:
    ValueError: it is no mapping, is empty, or a key is no text or empty.
  """
  if not isinstance(value, Mapping) or not value:
    raise ValueError(f'{where} is not a mapping with at least one entry.')
  for name in value:
    if not isinstance(name, str) or not name:
      raise ValueError(f'{where}: {_shown(name)} is not a name.')
  return list(value.items())


def check_json(value: Any, where: str, depth: int = 0) -> None:
  """Raises ValueError unless the value can be written as strict JSON.

  Nested at most 32 deep, with finite numbers and keys that are texts.
  """
  if depth > _DEEPEST:
    raise ValueError(f'{where} is nested more than {_DEEPEST} deep.')
  if isinstance(value, Mapping):
    for key, entry in value.items():
      if not isinstance(key, str):
        raise ValueError(f'{where}: key {_shown(key)} is not a text.')
      check_json(entry, f'{where}.{key}', depth + 1)
  elif isinstance(value, list | tuple):
    for index, entry in enumerate(value):
      check_json(entry, f'{where}[{index}]', depth + 1)
  elif not (value is None or isinstance(value, str | bool)):
    check_number(value, where)


def _shown(value: Any) -> str:
  """A value in a message: scalars as they are, of others the kind."""
  if value is None or isinstance(value, str | bool | numbers.Number):
    return repr(value) if _is_short(value) else quoted(value, 60)
  return f'of type {type(value).__name__}'


def _is_short(value: Any) -> bool:
  return not isinstance(value, str) or quoted(value, 60) == value
