"""Paths of a config that name runs beside its own: from the run's own folder.

The runs of an experiment go on from each other: a cell of a comparison names
the phase 1 that lies beside it. Stored as `{workdir}/../phase1`, where
`{workdir}` is the folder of the run whose config it is, such a path holds
wherever the whole experiment is moved to. Whoever uses it asks `located`
first, with the folder of the run.
"""

import copy
import os
import posixpath
from collections.abc import Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from ml_collections import ConfigDict

#: Stands for the folder of the run whose config holds it.
WORKDIR = '{workdir}'
# Deeper than any folder of runs is: `..` must not go beyond it.
_BASE = '/'.join(('', *'0123456789'))


def link(target: PurePath, folder: PurePath) -> str:
  """The path from a run to another one of the same experiment.

  Args:
    target: folder of the other run, relative to some folder above both.
    folder: of the run whose config is to hold the path, relative to the same.

  Returns:
    `{workdir}/...`, as configs hold it.
  """
  end, start = (
    posixpath.join(_BASE, path.as_posix()) for path in (target, folder)
  )
  return f'{WORKDIR}/{posixpath.relpath(end, start)}'


def is_linked(value: Any) -> bool:
  """Whether a value of a config is a path of `link`."""
  return isinstance(value, str) and value.startswith(f'{WORKDIR}/')


def located(config: ConfigDict, workdir: Path) -> ConfigDict:
  """The config with each path of `link` as an absolute one.

  Args:
    config: of a run.
    workdir: the run's folder.

  Returns:
    The same object where nothing is linked.
  """
  plain = config.to_dict()
  found = located_values(plain, workdir)
  if found == plain:
    return config
  result = copy.deepcopy(config).unlock()
  result.update(found)
  return result.lock() if config.is_locked else result


def located_values(value: Any, workdir: Path) -> Any:
  """As `located`, of the plain dicts that JSON gives back, or one value."""
  if isinstance(value, Mapping):
    return {k: located_values(inner, workdir) for k, inner in value.items()}
  return _absolute(value, workdir) if is_linked(value) else value


def _absolute(value: str, workdir: Path) -> str:
  # By its letters: a cell that is a link to another disk is beside the others.
  rest = value.removeprefix(f'{WORKDIR}/')
  return os.path.normpath(os.path.join(os.path.abspath(workdir), rest))


def same(first: Any, second: Any) -> bool:
  """Whether two values of a field name one run of an experiment.

  Older versions stored absolute paths. The experiment may have been moved
  since, so that no more than the end of such a path can be told: the folders
  that the linked one goes down to.

  Args:
    first, second: of the same field of the same run; one of them linked.
  """
  if is_linked(second):
    first, second = second, first
  if not is_linked(first) or not isinstance(second, str):
    return False
  if is_linked(second):
    return first == second
  parts = PurePosixPath(first.removeprefix(f'{WORKDIR}/')).parts
  down = tuple(part for part in parts if part != '..')
  return bool(down) and PurePosixPath(second).parts[-len(down) :] == down
