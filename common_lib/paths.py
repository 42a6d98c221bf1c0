"""Paths as a user writes them."""

import os
import pathlib


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
