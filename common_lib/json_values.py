"""Values of a file or server, checked for type, length and range.

JSON gives back whatever somebody has written: a bool where a count should be,
a number of 400 digits, NaN. Each function returns the value it was given, or
raises `BadValue` with half a sentence that says what is wrong.
"""

import math
from collections.abc import Collection
from typing import Any

# Whole numbers up to here are exact in JSON of every program.
LARGEST = 1 << 53


class BadValue(ValueError):
  """A value that is not what it should be."""


def whole_number(
  value: Any, what: str, lowest: int = 0, highest: int = LARGEST
) -> int:
  """A whole number of a range; true and false are none.

  Args:
    value: to be checked.
    what: its name, for the message.
    lowest: smallest that it may be.
    highest: largest that it may be.
  """
  if type(value) is not int or not lowest <= value <= highest:
    raise BadValue(
      f'{what} is no whole number from {lowest} to {highest} but {shown(value)}'
    )
  return value


def number(
  value: Any,
  what: str,
  lowest: int | float = 0,
  highest: int | float = math.inf,
) -> int | float:
  """As `whole_number`, of any finite number."""
  # Compared first: a whole number of 400 digits is no float at all.
  known = type(value) in (int, float) and lowest <= value <= highest
  if not known or abs(value) > 1e300:
    raise BadValue(f'{what} is no number in its range but {shown(value)}')
  return value


def text(value: Any, what: str, longest: int = 1000) -> str:
  """A text that is neither empty nor too long."""
  if not isinstance(value, str) or not 0 < len(value) <= longest:
    raise BadValue(
      f'{what} is no text of 1 to {longest} characters but {shown(value)}'
    )
  return value


def fields(
  value: Any,
  what: str,
  required: Collection[str],
  optional: Collection[str] = (),
) -> dict[str, Any]:
  """An object that has all of some fields and no other ones."""
  if not isinstance(value, dict):
    raise BadValue(f'{what} is no object but {shown(value)}')
  for name in required:
    if name not in value:
      raise BadValue(f'{what} has no {name}')
  for name in value:
    if name not in required and name not in optional:
      raise BadValue(f'{what} has the unknown field {shown(name)}')
  return value


def entries(value: Any, what: str, longest: int = 10_000_000) -> list[Any]:
  """A list that is not too long."""
  if not isinstance(value, list) or len(value) > longest:
    raise BadValue(f'{what} is no list of at most {longest} entries')
  return value


def shown(value: Any) -> str:
  """A foreign value for a message: short, in ASCII, nothing to execute."""
  if type(value) is int and abs(value) > LARGEST:
    return 'a number too large'
  if isinstance(value, (dict, list)):
    return 'an object' if isinstance(value, dict) else 'a list'
  if isinstance(value, str):
    value = value[:100]
  content = ascii(value)
  return content if len(content) <= 60 else f'{content[:56]} ...'
