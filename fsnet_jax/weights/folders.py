"""Folders of converted weights: `weights.json`, and `arrays` by orbax."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from common_lib.errors import UserError
from common_lib.files import write_text
from common_lib.foreign import quoted
from fsnet_jax.runtime.storage import checksums
from fsnet_jax.weights.convert import nested

SCHEMA = 1
_DESCRIPTION = 'weights.json'
_ARRAYS = 'arrays'
_CHECKSUM = 'checksum'


def sha256(path: Path) -> str:
  """Hexadecimal digest of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def check_new(folder: Path) -> None:
  """Raises UserError unless `folder` is free to be written."""
  if folder.exists() and not folder.is_dir():
    raise UserError(f'--out={folder} is a file: name a folder.')
  if folder.is_dir() and any(folder.iterdir()):
    raise UserError(
      f'--out={folder} is not empty: name another folder, or delete it.'
    )


def write(
  folder: Path, tree: dict[str, Any], description: dict[str, Any]
) -> None:
  """Writes weights so that the folder is there whole or not at all.

  Args:
    folder: must be new or empty.
    tree: nested dicts of NumPy arrays.
    description: JSON-serialisable: `arch`, `width` and whatever else is
      worth knowing; the shapes are added.

  Raises:
    UserError: the folder cannot be written.
  """
  # Orbax and what it imports are slow to load.
  from fsnet_jax.runtime import weights_store

  check_new(folder)
  shapes = {'/'.join(path): a.shape for path, a in _flat(tree).items()}
  content = {'schema': SCHEMA, **description, 'shapes': shapes}
  text = json.dumps(content | {_CHECKSUM: checksums.of_json(content)}, indent=2)
  temporary = folder.absolute().with_name(f'.{folder.name}.{os.getpid()}')
  try:
    temporary.mkdir(parents=True)
    weights_store.save_arrays(temporary / _ARRAYS, tree)
    write_text(temporary / _DESCRIPTION, text + '\n')
    temporary.rename(folder.absolute())
  except OSError as error:
    raise UserError(
      f'--out={folder} cannot be written ({error.strerror}): free some space, '
      'or name another folder.'
    ) from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def describe(folder: Path) -> dict[str, Any]:
  """What a folder of converted weights holds, without reading the arrays.

  Raises:
    UserError: it is no such folder, or of a later version.
  """
  path = folder / _DESCRIPTION
  try:
    description = json.loads(path.read_text())
    shapes = {
      tuple(name.split('/')): tuple(shape)
      for name, shape in description['shapes'].items()
    }
    known = description['schema'] == SCHEMA and bool(description['arch'])
  except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
    raise UserError(
      f'{folder} holds no converted weights ({path.name} cannot be read); '
      'make them by python -m fsnet_jax.weights convert.'
    ) from error
  if not known:
    raise UserError(f'{path} is of another version; convert the file again.')
  # Folders of an earlier version have none.
  checksum = description.pop(_CHECKSUM, None)
  if checksum not in (None, checksums.of_json(description)):
    raise UserError(
      f'{path} is damaged or was changed by hand (it differs from its '
      'checksum); convert the file again.'
    )
  return {**description, 'shapes': shapes}


def read(folder: Path) -> dict[str, Any]:
  """The arrays of a folder of converted weights, as nested dicts.

  Raises:
    UserError: it is no such folder, or damaged.
  """
  from fsnet_jax.runtime import weights_store

  shapes = describe(folder)['shapes']
  try:
    tree = weights_store.load_arrays(
      folder / _ARRAYS, nested(shapes_of(shapes))
    )
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{folder} is damaged ({quoted(error, 200)}); convert the file again.'
    ) from error
  found = {path: array.shape for path, array in _flat(tree).items()}
  if found != shapes:
    raise UserError(f'{folder} is damaged; convert the file again.')
  return tree


def shapes_of(shapes: dict[Any, tuple[int, ...]]) -> dict[Any, Any]:
  """Shapes as leaves, which JAX would take apart as tuples."""
  return {path: np.broadcast_to(np.float32(0), s) for path, s in shapes.items()}


def _flat(tree: dict[str, Any], prefix: tuple[str, ...] = ()) -> dict[Any, Any]:
  flat = {}
  for name, value in tree.items():
    if isinstance(value, dict):
      flat.update(_flat(value, (*prefix, name)))
    else:
      flat[(*prefix, name)] = value
  return flat
