"""Files that appear whole or not at all, and are checked when read."""

import json
import os
import pathlib
import tempfile
from typing import Any

from common_lib.errors import UserError
from common_lib.foreign import quoted

# A file of settings or results; one of more is not ours.
_MOST_JSON_BYTES = 1 << 28


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
  """Writes a file so that a reader never sees half of it.

  Args:
    path: the file; its folder must exist. An existing file is replaced.
    content: its bytes.

  Raises:
    OSError: the disk is full, the folder is gone or cannot be written.
  """
  path = pathlib.Path(path)
  handle, scratch = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.')
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
