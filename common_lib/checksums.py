"""Checksums of JSON values, and JSON files that carry their own."""

import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from common_lib import files
from common_lib.errors import UserError

#: Name of the field that holds the checksum of the others.
FIELD = 'checksum'


def of_value(value: Any, before: str = '') -> str:
  """Checksum of a JSON value, however it is laid out in a file.

  Args:
    value: made of what JSON has.
    before: checksum of what stands before it, for a chain of values.

  Returns:
    SHA-256, 64 hexadecimal digits.
  """
  content = json.dumps(value, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(before.encode() + content.encode()).hexdigest()


def write_json(path: str | os.PathLike[str], value: Mapping[str, Any]) -> None:
  """As `files.write_json`, with the checksum of the value as a last field."""
  files.write_json(path, {**value, FIELD: of_value(value)})


def read_json(
  path: str | os.PathLike[str], *, what: str, fix: str
) -> dict[str, Any]:
  """What `write_json` wrote; a file without a checksum is an older version's.

  Args:
    path: the file.
    what: what it is, for the message.
    fix: what the user can do, for the message.

  Returns:
    The value without its checksum; the caller checks what it holds.

  Raises:
    UserError: as `files.read_json_object`, or the file was changed since.
  """
  value = files.read_json_object(path, what=what, fix=fix)
  stored = value.pop(FIELD, None)
  if stored is not None and stored != of_value(value):
    raise UserError(
      f'{path}, {what}, is damaged (its checksum does not fit it): {fix}.'
    )
  return value
