"""What the operating system said, out of the errors of the libraries."""

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

from common_lib.errors import UserError

_TENSORSTORE = re.compile(r"os_error_code='(\d+)'")
_FULL = (errno.ENOSPC, errno.EDQUOT)
# They pass, or a user can lift them: what is stored may well be intact.
_OF_THE_MOMENT = (
  errno.EACCES,
  errno.EPERM,
  errno.EMFILE,
  errno.ENFILE,
  errno.ENOMEM,
  errno.ESTALE,
  errno.ETIMEDOUT,
  errno.ENOTCONN,
  errno.EHOSTDOWN,
  errno.EHOSTUNREACH,
)


def number(error: BaseException | None) -> int | None:
  """The `errno` behind an error of orbax, TensorStore or Python.

  Args:
    error: TensorStore's is a ValueError that has it in its text.

  Returns:
    None if the operating system is not known to be the cause.
  """
  seen: set[int] = set()
  while error is not None and id(error) not in seen:
    seen.add(id(error))
    if isinstance(error, OSError) and error.errno:
      return error.errno
    text = str(error)
    found = _TENSORSTORE.search(text)
    if found:
      return int(found.group(1))
    # TensorFlow, which writes TensorBoard's events, has the words alone.
    for code in _FULL:
      if os.strerror(code) in text:
        return code
    error = error.__cause__ or error.__context__
  return None


def is_full(code: int) -> bool:
  """Whether there is no room on the disk, or none for this user."""
  return code in _FULL


def says_nothing_of_the_files(error: BaseException) -> bool:
  """Whether an error in reading does not mean that a file is damaged."""
  if isinstance(error, MemoryError):
    return True
  return number(error) in _OF_THE_MOMENT


@contextlib.contextmanager
def explained(workdir: Path) -> Iterator[None]:
  """Turns whatever a full disk makes libraries raise into one sentence.

  Args:
    workdir: of the run that writes.

  Raises:
    UserError: within the block something could not be written for want of
      room.
  """
  try:
    yield
  except UserError:
    raise
  except Exception as error:
    code = number(error)
    if code is None or not is_full(code):
      raise
    where = getattr(error, 'filename', None) or workdir
    raise UserError(
      f'The disk of {where} is full ({words(code)}): free some space and run '
      'the same command again; what was saved before is kept.'
    ) from error


def words(code: int) -> str:
  """An `errno` as text."""
  return os.strerror(code)
