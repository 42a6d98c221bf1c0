"""Files that appear whole or not at all, and are checked when read."""

import fcntl
import json
import os
import pathlib
import re
import tempfile
import time
from typing import Any

from common_lib.errors import UserError
from common_lib.foreign import quoted

# A file of settings or results; one of more is not ours.
_MOST_JSON_BYTES = 1 << 28
# What tempfile puts after `.<name>.`.
_RANDOM_PART = re.compile(r'[a-z0-9_]{8}')
# Where there are no locks, a scratch file of this age is nobody's.
_STALE_SECS = 3600.0


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
  """Writes a file so that a reader never sees half of it.

  What writers of the same file left behind when they were killed is removed.

  Args:
    path: the file; its folder must exist. An existing file is replaced.
    content: its bytes.

  Raises:
    OSError: the disk is full, the folder is gone or cannot be written.
  """
  path = pathlib.Path(path)
  remove_leftovers(path.parent, path.name)
  handle, scratch = _own_scratch(path)
  try:
    with os.fdopen(handle, 'wb') as file:
      file.write(content)
      file.flush()
      # Without it a power cut can leave the new name with no content.
      os.fsync(file.fileno())
      # mkstemp makes files that only the owner reads; a report is for sharing.
      umask = os.umask(0)
      os.umask(umask)
      os.chmod(scratch, 0o666 & ~umask)
      os.replace(scratch, path)
  except BaseException:
    pathlib.Path(scratch).unlink(missing_ok=True)
    raise


def _own_scratch(path: pathlib.Path) -> tuple[int, str]:
  """A new file beside `path`, locked while its writer lives."""
  while True:
    handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
    if not _locked(handle, wait=True):
      return handle, scratch
    # Before it was locked, another writer may have taken it for a leftover.
    try:
      if os.path.samestat(os.stat(scratch), os.fstat(handle)):
        return handle, scratch
    except FileNotFoundError:
      pass
    os.close(handle)


def remove_leftovers(folder: str | os.PathLike[str], name: str) -> None:
  """Removes the scratch files of killed writers of one file.

  A writer that lives holds a lock on its scratch file; where a file system
  knows no locks, an hour must have passed.

  Args:
    folder: of the file.
    name: of the file, as `write_bytes` had it.
  """
  start = f'.{name}.'
  try:
    with os.scandir(folder) as entries:
      found = [
        entry.path
        for entry in entries
        if entry.name.startswith(start)
        and _RANDOM_PART.fullmatch(entry.name.removeprefix(start))
        and entry.is_file(follow_symlinks=False)
      ]
  except OSError:
    return  # Whoever writes there will say what is wrong.
  for scratch in found:
    _remove_unless_in_use(scratch)


def _remove_unless_in_use(scratch: str) -> None:
  """Removes a scratch file whose writer is dead."""
  try:
    handle = os.open(scratch, os.O_RDWR)
  except OSError:
    return  # It is gone, or another user's.
  try:
    age = time.time() - os.fstat(handle).st_mtime
    if _locked(handle, wait=False) or age > _STALE_SECS:
      os.unlink(scratch)
  except OSError:
    pass  # Its writer lives, or has just put it in its place.
  finally:
    os.close(handle)


def _locked(handle: int, wait: bool) -> bool:
  """Locks an open file; False where the file system cannot.

  Raises:
    BlockingIOError: another program has it, and `wait` is False.
  """
  try:
    fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
  except BlockingIOError:
    raise
  except OSError:
    return False
  return True


def write_text(path: str | os.PathLike[str], text: str) -> None:
  """As `write_bytes`, of text in UTF-8."""
  write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any) -> None:
  """As `write_bytes`, of a JSON value; NaN is refused with ValueError."""
  write_text(path, json.dumps(value, indent=2, allow_nan=False) + '\n')


def read_json(path: str | os.PathLike[str], *, what: str, fix: str) -> Any:
  """Reads a JSON file that somebody may have damaged.

  Args:
    path: the file.
    what: what it is, for the message: 'the config of a run'.
    fix: what the user can do, for the message: 'choose another --workdir'.

  Returns:
    The value, of whatever type: the caller checks that.

  Raises:
    UserError: it is missing, unreadable, no JSON, nested too deep, too
      large, or has numbers too long to be any.
  """
  path = pathlib.Path(path)
  try:
    if path.stat().st_size > _MOST_JSON_BYTES:
      raise ValueError('it is too large')
    return json.loads(path.read_bytes())
  except OSError as error:
    problem = error.strerror or 'it cannot be read'
  except RecursionError:
    problem = 'it is nested too deep'
  # UnicodeDecodeError, JSONDecodeError and numbers of thousands of digits.
  except ValueError as error:
    problem = quoted(error, 120)
  raise UserError(f'{path}, {what}, cannot be read ({problem}): {fix}.')


def read_json_object(
  path: str | os.PathLike[str], *, what: str, fix: str
) -> dict[str, Any]:
  """As `read_json`; raises UserError too where the value is no object."""
  value = read_json(path, what=what, fix=fix)
  if not isinstance(value, dict):
    raise UserError(
      f'{path}, {what}, cannot be read (it holds no JSON object): {fix}.'
    )
  return value
