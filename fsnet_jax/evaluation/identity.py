"""What tells one network, fit, detector or data set from another.

None of it reads arrays or images: the digests are of what is different each
time that something is saved or prepared, so a copy of a folder has that of the
original.
"""

import ast
import hashlib
import importlib.util
import json
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from fsnet_jax.detectors import FailureDetector
from fsnet_jax.learned_detectors import fit_metadata
from input_pipeline.sources import Source

_DIGITS = 16
# The files of a checkpoint that hold more have names drawn at each save.
_SMALL_BYTES = 1 << 16
# Of this program: what they make of a score is not a user's to change.
_OURS = {
  'common_lib',
  'configs',
  'fsnet_jax',
  'input_pipeline',
  'segxal_jax',
  'street_scenes',
}


def of_checkpoints(workdir: Path) -> dict[str, str]:
  """The committed checkpoints of a run.

  Args:
    workdir: of the run.

  Returns:
    By step a digest that two saves never share, not even of equal networks.
  """
  steps = [
    path
    for path in (workdir / 'checkpoints').glob('*')
    if path.name.isdigit() and path.is_dir()
  ]
  return {path.name: _of_folder(path) for path in sorted(steps)}


def of_value(value: Any) -> str:
  """SHA-256 of a value that JSON has, 64 hexadecimal digits."""
  content = json.dumps(value, sort_keys=True)
  return hashlib.sha256(content.encode()).hexdigest()


def _of_folder(folder: Path) -> str:
  """Names and sizes of all files, and the contents of the small ones."""
  digest = hashlib.sha256()
  for path in sorted(folder.rglob('*')):
    if not path.is_file():
      continue
    size = path.stat().st_size
    digest.update(f'{path.relative_to(folder)}\0{size}\0'.encode())
    if size <= _SMALL_BYTES:
      digest.update(path.read_bytes())
  return digest.hexdigest()[:_DIGITS]


def of_fit(folder: Path) -> str:
  """A digest of a detector that was fitted: what to, and its checkpoints.

  Args:
    folder: of the fit; '' stands for none.
  """
  digest = hashlib.sha256()
  for path in sorted(folder.rglob('checkpoints')):
    home = path.parent.relative_to(folder)
    # What it learnt from is not what it has become.
    if fit_metadata.FAILURE_DATA not in home.parts:
      digest.update(f'{home} {of_checkpoints(path.parent)}'.encode())
  description = folder / fit_metadata.FILE
  if description.is_file():
    digest.update(description.read_bytes())
  return digest.hexdigest()[:_DIGITS]


def of_detector(detector: FailureDetector) -> str:
  """A digest of the source files behind a detector of a user's own.

  Args:
    detector: the object.

  Returns:
    The digest of its module and of the user's modules that this one imports;
    not of files that they read.
  """
  digest = hashlib.sha256()
  start = sys.modules.get(type(detector).__module__)
  for name, path in sorted(_users_files(start)):
    digest.update(f'{name}\0'.encode())
    digest.update(path.read_bytes())
  return digest.hexdigest()[:_DIGITS]


def _users_files(start: ModuleType | None) -> Iterator[tuple[str, Path]]:
  """Name and source of a module, and of those that it imports."""
  seen: set[str] = set()
  waiting = [start]
  while waiting:
    module = waiting.pop()
    if module is None or module.__name__ in seen:
      continue
    seen.add(module.__name__)
    path = _source_of_users(module)
    if path is None:
      continue
    yield module.__name__, path
    waiting += map(sys.modules.get, _imports(module, path))


def _imports(module: ModuleType, path: Path) -> Iterator[str]:
  """Every module that a source file may mean by an import."""
  for node in ast.walk(ast.parse(path.read_bytes())):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
      start = '.' * node.level + (node.module or '')
      if node.level:
        start = importlib.util.resolve_name(start, module.__package__)
      yield start
      yield from (f'{start}.{alias.name}' for alias in node.names)


def _source_of_users(module: ModuleType) -> Path | None:
  """A module's file, if it is neither this program's nor installed."""
  file = getattr(module, '__file__', None)
  if not file or module.__name__.partition('.')[0] in _OURS:
    return None
  path = Path(file)
  places = sysconfig.get_paths()
  installed = (places['stdlib'], places['purelib'], places['platlib'])
  if not path.is_file() or any(map(path.is_relative_to, installed)):
    return None
  return path


def of_source(source: Source) -> dict[str, Any]:
  """Which prepared copies the images of a source are from, and how many.

  A copy's folder is named by what it was made of.

  Args:
    source: of `input_pipeline`.
  """
  folders = getattr(source, 'folders', ())
  copies = ['/'.join(Path(folder).parts[-3:]) for folder in folders]
  return {'images': len(source), 'copies': copies}
