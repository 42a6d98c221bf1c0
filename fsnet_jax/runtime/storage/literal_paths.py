"""Paths that mean themselves, whatever characters they have.

Orbax looks for the parts of a checkpoint by `directory.glob('ocdbt.*')`, in
which a folder named 'lr[0.1]' is itself a pattern: nothing is found, and what
is committed cannot be restored.
"""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

from etils import epath

from common_lib.errors import UserError


class _LiteralPath(type(epath.Path('.'))):
  """A path whose own characters are no pattern; orbax keeps its class."""

  def glob(self, pattern: str) -> Iterator['_LiteralPath']:
    """The entries below this folder that match."""
    here = glob.escape(os.fspath(self))
    for found in glob.iglob(os.path.join(here, pattern)):
      yield type(self)(found)


# Each as a path's first folder is taken for a bucket in a cloud.
_CLOUDS = ('gs', 's3', 'az', 'hf')


def literal(folder: Path) -> _LiteralPath:
  """A folder as orbax must be given it.

  Args:
    folder: may be relative, and need not exist.

  Raises:
    UserError: a name in it is one that TensorStore or orbax read as something
      else, so that what is saved would lie elsewhere or nowhere.
  """
  path = str(folder.absolute())
  problem = None
  if '\\' in path:
    problem = 'a backslash, which TensorStore takes for a slash'
  elif 'gs:/' in path:
    problem = "a folder whose name ends in 'gs:', which is taken for a URL"
  elif Path(path).parts[1:2] and Path(path).parts[1] in _CLOUDS:
    problem = f'/{Path(path).parts[1]} first, which is taken for a bucket'
  else:
    try:
      path.encode()
    except UnicodeEncodeError:
      problem = 'a name that is not UTF-8'
  if problem is not None:
    raise UserError(
      f'{folder} cannot hold checkpoints or weights: its path has {problem}; '
      'choose or rename to another path.'
    )
  return _LiteralPath(path)
