"""Locks of files that a killed program releases by itself."""

import errno
import fcntl
from typing import IO


class NoLocks(Exception):
  """The disk has no locks (some NFS and Lustre): nobody can be kept out."""


def taken(file: IO) -> bool:
  """Takes the exclusive lock of an open file, without waiting.

  Args:
    file: held open for as long as the lock is wanted.

  Returns:
    Whether it is this program's now; False where another one has it.

  Raises:
    NoLocks: with the system's words for it.
  """
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError as error:
    if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN):
      return False
    raise NoLocks(error.strerror or 'unknown error') from None
  return True
