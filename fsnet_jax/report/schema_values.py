"""Checks of single values of `metrics.json`; each names the key that is wrong.

All raise ValueError.
"""

import math
import numbers
from collections.abc import Mapping
from typing import Any, NamedTuple

from common_lib.json_values import LARGEST, shown

#: Histograms approximate: E-AURC of a near-perfect ranking may fall a little
#: below 0, and sums of floats a little above 1.
RANGE_TOLERANCE = 1e-3
# No config nests deeper; what compares configs would end in Python's limit.
_DEEPEST = 32


class Key(NamedTuple):
  """One key of the file: what it holds, and whether it must be there."""

  meaning: str
  required: bool = True


def check_keys(entry: Any, keys: Mapping[str, Key], where: str) -> None:
  """Raises for a missing required key or an unknown key."""
  if not isinstance(entry, Mapping):
    raise ValueError(f'{where} is not a mapping.')
  for key, spec in keys.items():
    if spec.required and key not in entry:
      raise ValueError(f'{where}: missing key {key!r}.')
  for key in entry:
    if key not in keys:
      raise ValueError(f'{where}: unknown key {key!r}.')


def named(entry: Any, where: str) -> list[tuple[str, Any]]:
  """The items of a mapping by name, which must not be empty."""
  if not isinstance(entry, Mapping) or not entry:
    raise ValueError(f'{where} is not a mapping with at least one entry.')
  for name in entry:
    if not isinstance(name, str) or not name:
      raise ValueError(f'{where}: {name!r} is not a name.')
  return list(entry.items())


def optional(
  entry: Mapping[str, Any], key: str, where: str
) -> list[tuple[str, Any]]:
  """The items of a mapping that may be missing or None, but not empty."""
  if entry.get(key) is None:
    return []
  return named(entry[key], f'{where}.{key}')


def check_rate(value: Any, where: str) -> None:
  """Raises unless the value is None or a fraction."""
  if value is None:
    return
  check_finite(value, where)
  if not -RANGE_TOLERANCE <= value <= 1.0 + RANGE_TOLERANCE:
    raise ValueError(f'{where} is {value}, not a fraction in [0, 1].')


def check_count(value: Any, where: str) -> None:
  """Raises unless the value is a whole number of things."""
  if isinstance(value, bool) or not isinstance(value, numbers.Integral):
    raise ValueError(f'{where} is {shown(value)}, not a whole number.')
  if not 0 <= int(value) <= LARGEST:
    raise ValueError(f'{where} is {shown(value)}, not in [0, 2^53].')


def check_finite(value: Any, where: str) -> None:
  """Raises unless the value is a finite number."""
  if isinstance(value, bool) or not isinstance(value, numbers.Real):
    raise ValueError(f'{where} is {shown(value)}, not a number or None.')
  try:
    finite = math.isfinite(value)
  except OverflowError:  # a whole number of hundreds of digits
    finite = False
  if not finite:
    raise ValueError(
      f'{where} is {shown(value)}: an undefined value must be None.'
    )


def check_json(value: Any, where: str, depth: int = 0) -> None:
  """Raises unless the value can be written as strict JSON."""
  if depth > _DEEPEST:
    raise ValueError(f'{where} is nested more than {_DEEPEST} deep.')
  if isinstance(value, Mapping):
    for key, entry in value.items():
      if not isinstance(key, str):
        raise ValueError(f'{where}: key {key!r} is not a text.')
      check_json(entry, f'{where}.{key}', depth + 1)
  elif isinstance(value, list | tuple):
    for index, entry in enumerate(value):
      check_json(entry, f'{where}[{index}]', depth + 1)
  elif not (value is None or isinstance(value, str | bool)):
    check_finite(value, where)
