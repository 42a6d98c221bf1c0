"""Damaged entries of JAX's cache of compiled programs.

JAX warns of an entry that it cannot read, compiles, and leaves the entry as
it is, for it never writes over one: a program whose entry was cut off (a run
killed while writing, a full disk) would be compiled in every run from then on.
"""

import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path

from common_lib.console import say
from common_lib.foreign import quoted

_PROBLEM = re.compile(
  r"Error (reading|writing) persistent compilation cache entry for '([^']*)'"
)
_SUFFIX = '-cache'


def replace_damaged_entries(folder: Path) -> None:
  """Lets JAX's warning of an entry remove it, before it is compiled anew.

  Nothing else says which entry it was: JAX reports by warnings alone.

  Args:
    folder: of the cache; it need not exist yet.
  """
  show, told = warnings.showwarning, []

  def notice(message, category, filename, lineno, file=None, line=None):
    problem = _PROBLEM.search(str(message))
    if problem is None:
      show(message, category, filename, lineno, file, line)
    elif problem.group(1) == 'reading':
      _remove(folder, problem.group(2))
    elif not told:
      told.append(message)
      say(
        f'note: the compilation cache {folder} cannot be written '
        f'({quoted(message)}): programs are compiled anew in each run'
      )

  warnings.showwarning = notice
  warnings.filterwarnings('always', _PROBLEM.pattern)


def _remove(folder: Path, program: str) -> None:
  """Removes the damaged entries of a program.

  Args:
    folder: of the cache.
    program: name of the program; that of an entry has a digest after it.
  """
  entries = [
    path
    for path in (folder.iterdir() if folder.is_dir() else ())
    if path.name.endswith(_SUFFIX)
    and path.name.removesuffix(_SUFFIX).rpartition('-')[0] == program
  ]
  # Which of those that can be unpacked is no program, nobody can tell.
  damaged = [path for path in entries if not _unpacks(path)] or entries
  try:
    for path in damaged:
      path.unlink(missing_ok=True)
  except OSError as error:
    say(
      f'note: {error.filename} is damaged and cannot be removed '
      f'({error.strerror}): {program} is compiled anew in each run'
    )
    return
  say(
    f'note: the entry of {program} in the compilation cache {folder} is '
    'damaged: it is removed and made again'
  )


def _unpacks(path: Path) -> bool:
  """Whether the bytes of an entry are whole."""
  unpack, broken = _compression()
  try:
    unpack(path.read_bytes())
  except (broken, OSError):
    return False
  return True


def _compression() -> tuple[Callable[[bytes], bytes], type[Exception]]:
  """How JAX unpacks an entry here, and what that raises."""
  try:
    import zstandard
  except ImportError:
    return zlib.decompress, zlib.error
  return zstandard.ZstdDecompressor().decompress, zstandard.ZstdError
