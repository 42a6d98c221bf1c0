"""Paths as a user writes them, and folders where a user names none."""

import functools
import os
import pathlib
import stat
import tempfile

from common_lib.console import say


def expanded(path: str | os.PathLike[str]) -> pathlib.Path:
  """A path with `~` and `~name` resolved, as a shell would have done.

  A shell does not do it in `--workdir=~/runs`. Where there is no home (a
  container without HOME and passwd entry) the path stays as it is.

  Args:
    path: of a flag, a field of a config or an argument.
  """
  try:
    return pathlib.Path(path).expanduser()
  except RuntimeError:
    return pathlib.Path(path)


@functools.cache
def default_folder(path: str, what: str) -> pathlib.Path:
  """A folder that the user did not name, or a temporary one in its place.

  A container that runs under a number alone has no home, or `/`, which it
  cannot write to.

  Args:
    path: where it should be; `~` is resolved.
    what: is kept there, for the note on the terminal.

  Returns:
    The folder; it need not exist yet.
  """
  folder = expanded(path)
  if not path.startswith('~') or _can_be_made(folder):
    return folder
  safe = _of_this_user(pathlib.Path(tempfile.gettempdir()))
  other = safe / path.removeprefix('~/')
  say(
    f'note: {folder} cannot be written: {what} are kept in {other}, which may '
    'be emptied at a restart'
  )
  return other


def _can_be_made(folder: pathlib.Path) -> bool:
  """Whether a folder can be written to, or made where it is missing."""
  if str(folder).startswith('~'):
    return False
  while not folder.exists() and folder != folder.parent:
    folder = folder.parent
  return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _of_this_user(place: pathlib.Path) -> pathlib.Path:
  """A folder that is the same for all runs of this user, and of nobody else.

  What lies in it is executed (compiled programs), so a folder that another
  user has put there is not taken.
  """
  folder = place / f'fsnet_jax-{os.getuid()}'
  try:
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()  # of a link itself, which is no folder then
  except OSError:
    return pathlib.Path(tempfile.mkdtemp(prefix='fsnet_jax-'))
  closed = stat.S_ISDIR(status.st_mode) and not status.st_mode & 0o022
  if closed and status.st_uid == os.getuid():
    return folder
  return pathlib.Path(tempfile.mkdtemp(prefix='fsnet_jax-'))
