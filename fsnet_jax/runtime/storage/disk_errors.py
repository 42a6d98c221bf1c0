"""What the operating system said, out of the errors of the libraries."""

import errno
import os
import re

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
    found = _TENSORSTORE.search(str(error))
    if found:
      return int(found.group(1))
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


def words(code: int) -> str:
  """An `errno` as text."""
  return os.strerror(code)
