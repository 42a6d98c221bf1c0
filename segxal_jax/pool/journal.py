"""An append-only file of JSON lines that notices any change to it.

Each line carries a checksum of itself and of all lines before it, and a small
file beside them (the head) holds how many lines there are: a line that was
changed, left out or moved is named, and so is an end that is missing. A line
is written before the head, so a kill leaves the head behind, never ahead; a
line torn by a kill is cut off at the next start.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

from common_lib import checksums, files
from common_lib.errors import UserError
from common_lib.foreign import quoted
from common_lib.json_values import BadValue, fields, text, whole_number

_ID = re.compile(rb'"id": *"((?:[^"\\]|\\.){1,200})"')


class Journal:
  """One such file, opened for reading and appending.

  Attributes:
    path: of the lines.
    note: what `read` could not compare, as a sentence; '' if nothing.
  """

  def __init__(self, path: Path, fix: str, read_only: bool = False):
    """Opens nothing yet.

    Args:
      path: of the lines; the head's name is made from it.
      fix: what the user can do about damage, for messages.
      read_only: another process writes it; nothing is changed.
    """
    self.path, self.note = path, ''
    self._head_path = path.with_suffix('.head.json')
    self._fix, self._read_only = fix, read_only
    self._lines, self._checksum = 0, ''

  def read(self) -> list[dict[str, Any]]:
    """All whole lines without their checksums, each compared with its own.

    Raises:
      UserError: a line or the end is damaged.
    """
    # Read first: of two files that grow, the one that is never ahead.
    head = self._read_head()
    content = self._content()
    whole = content[: content.rfind(b'\n') + 1]
    entries, checksum, sealed = [], '', False
    for number, line in enumerate(whole.split(b'\n')[:-1], 1):
      entry, stored = self._parsed(number, line)
      checksum = checksums.of_value(entry, checksum)
      if stored != checksum and (sealed or stored is not None):
        raise self.damaged(
          number,
          line,
          'its checksum does not fit it and the lines before it',
        )
      if head and number == head[0] and head[1] != checksum:
        raise UserError(
          f'{self.path} is not the one that {self._head_path} counts (line '
          f'{number} has another checksum there): {self._fix}.'
        )
      sealed = stored is not None
      entries.append(entry)
    if head and len(entries) < head[0]:
      raise UserError(
        f'{self.path} is damaged (it has {len(entries)} whole lines of the '
        f'{head[0]} that were written): {self._fix}.'
      )
    self._lines, self._checksum = len(entries), checksum
    self.note = '' if head else self._uncompared(sealed)
    if not self._read_only and len(whole) < len(content):
      os.truncate(self.path, len(whole))
    return entries

  def damaged(self, number: int, line: Any, problem: object) -> UserError:
    """The error that names a line.

    Args:
      number: of the line, from 1.
      line: its bytes, or the entry that it holds, which may name an image.
      problem: what is wrong with it.
    """
    if not isinstance(line, bytes):
      line = json.dumps(line).encode()
    found = _ID.search(line)
    about = f' ({quoted(found[1].decode("utf-8", "replace"))})' if found else ''
    return UserError(
      f'{self.path}, line {number}{about}, is damaged '
      f'({quoted(problem, 200)}): {self._fix}.'
    )

  def append(self, entry: dict[str, Any]) -> None:
    """Adds a line; it is on the disk when this returns."""
    if self._read_only:
      raise RuntimeError(f'{self.path} is written by another process')
    checksum = checksums.of_value(entry, self._checksum)
    line = json.dumps(entry | {checksums.FIELD: checksum}) + '\n'
    with self.path.open('a') as file:
      file.write(line)
      file.flush()
      os.fsync(file.fileno())
    self._lines, self._checksum = self._lines + 1, checksum
    self.write_head()

  def write_head(self) -> None:
    """Writes how many lines there are, where it is not written yet."""
    head = (self._lines, self._checksum)
    if self._lines and head != self._read_head():
      value = {'lines': self._lines, 'checksum': self._checksum}
      files.write_json(self._head_path, value)

  def _content(self) -> bytes:
    try:
      return self.path.read_bytes()
    except FileNotFoundError:
      return b''
    except OSError as error:
      raise UserError(
        f'{self.path} cannot be read ({error.strerror}): {self._fix}.'
      ) from None

  def _parsed(self, number: int, line: bytes) -> tuple[dict[str, Any], Any]:
    """The entry of a line and its checksum, None where it has none."""
    try:
      entry = json.loads(line, parse_constant=_no_number)
      if not isinstance(entry, dict):
        raise BadValue('it is no object')
      stored = entry.pop(checksums.FIELD, None)
      if stored is not None:
        text(stored, 'its checksum', 64)
      return entry, stored
    except RecursionError:
      problem: object = 'it is nested too deep'
    except ValueError as error:
      problem = error
    raise self.damaged(number, line, problem)

  def _read_head(self) -> tuple[int, str] | None:
    """Number of lines and checksum of the last of them, if written."""
    if not self._head_path.exists():
      return None
    what = f'the count of lines of {self.path.name}'
    fix = f'{self._fix}, or delete it if no line is missing'
    head = files.read_json_object(self._head_path, what=what, fix=fix)
    try:
      fields(head, 'it', ('lines', 'checksum'))
      lines = whole_number(head['lines'], 'lines', 1)
      return lines, text(head['checksum'], 'checksum', 64)
    except BadValue as error:
      problem = error
    raise UserError(
      f'{self._head_path}, {what}, is damaged ({problem}): {fix}.'
    )

  def _uncompared(self, sealed: bool) -> str:
    """The note about a file whose lines nothing counts."""
    # One line without a head is what a kill right after it leaves.
    if not self._lines or (sealed and self._lines == 1):
      return ''
    if sealed:
      return (
        f'note: {self._head_path} is missing; whether {self.path} has lost '
        'lines at its end cannot be told'
      )
    return (
      f'note: {self.path} is of an older version, without checksums: changes '
      'made to it before now cannot be told'
    )


def _no_number(name: str) -> None:
  raise BadValue(f'it holds {name}')
