"""Folders of converted weights: `weights.json`, and `arrays` by orbax."""

import hashlib
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from common_lib.errors import UserError
from common_lib.files import read_json_object, write_text
from common_lib.foreign import quoted
from fsnet_jax.weights.convert import nested
from fsnet_jax.weights.names import ARCHITECTURES

# 1 had no checksums.
SCHEMA = 2
# Of a network's channels, as a multiple of the published one's.
MAX_WIDTH = 8
_DESCRIPTION = 'weights.json'
_ARRAYS = 'arrays'
_CHECKSUM = 'checksum'
_COLLECTIONS = ('params', 'batch_stats')
_FIX = 'convert the file again'

# Of what a description may say: far more than any network here has.
_MAX_ARRAYS = 100_000
_MAX_DIMENSIONS = 16
_MAX_SIZE = 1 << 36


def sha256(path: Path) -> str:
  """Hexadecimal digest of a file."""
  with path.open('rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def _digest_of(value: Any) -> str:
  """Of a JSON value, whatever the order and layout of its file."""
  text = json.dumps(value, sort_keys=True, separators=(',', ':'))
  return hashlib.sha256(text.encode()).hexdigest()


def _digests(folder: Path) -> dict[str, str]:
  """Of every file below a folder, by its path from there."""
  files = sorted(path for path in folder.rglob('*') if path.is_file())
  return {path.relative_to(folder).as_posix(): sha256(path) for path in files}


def check_new(folder: Path) -> None:
  """Raises UserError unless `folder` is free to be written."""
  # `os.path` answers no where `pathlib` raises: too long, not permitted.
  if not os.path.isdir(folder):
    if os.path.lexists(folder):
      raise UserError(f'--out={folder} is a file: name a folder.')
    return
  try:
    empty = not os.listdir(folder)
  except OSError as error:
    raise UserError(
      f'--out={folder} cannot be read ({error.strerror}): name another folder.'
    ) from error
  if not empty:
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
  temporary = folder.absolute().with_name(f'.{folder.name}.{os.getpid()}')
  try:
    temporary.mkdir(parents=True)
    weights_store.save_arrays(temporary / _ARRAYS, tree)
    content = {
      'schema': SCHEMA,
      **description,
      'shapes': shapes,
      'files': _digests(temporary / _ARRAYS),
    }
    content[_CHECKSUM] = _digest_of(content)
    text = json.dumps(content, indent=2) + '\n'
    write_text(temporary / _DESCRIPTION, text)
    temporary.rename(folder.absolute())
  except OSError as error:
    raise UserError(
      f'--out={folder} cannot be written ({error.strerror}): name another '
      'folder.'
    ) from error
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def describe(folder: Path) -> dict[str, Any]:
  """What a folder of converted weights holds, without reading the arrays.

  Returns:
    What `write` was given, each value of its type, with `shapes` by path and
    the digests of `files`, {} for a folder of the first version.

  Raises:
    UserError: it is no such folder, of a later version, or damaged.
  """
  path = folder / _DESCRIPTION
  if not os.path.isfile(path):
    raise UserError(
      f'{folder} holds no converted weights ({path.name} is missing); make '
      'them by python -m fsnet_jax.weights convert.'
    )
  found = read_json_object(
    path, what='the description of converted weights', fix=_FIX
  )
  schema = found.get('schema')
  if type(schema) is not int or not 1 <= schema <= SCHEMA:
    raise UserError(f'{path} is of another version; {_FIX}.')
  expected = found.pop(_CHECKSUM, None)
  if schema > 1 and expected != _digest_of(found):
    raise UserError(
      f'{path} is damaged or was changed by hand (it differs from its '
      f'checksum); {_FIX}.'
    )
  problem = _problem(found)
  if problem:
    raise UserError(f'{path} is damaged ({problem}); {_FIX}.')
  shapes = {
    tuple(name.split('/')): tuple(shape)
    for name, shape in found['shapes'].items()
  }
  return {**found, 'shapes': shapes, 'files': found.get('files', {})}


def _problem(found: dict[str, Any]) -> str:
  """What is wrong with a description; '' if nothing is."""
  if found.get('arch') not in list(ARCHITECTURES):
    return 'its arch is none that is known'
  width = found.get('width')
  # NaN is not equal to anything, nor within any bounds.
  is_number = isinstance(width, int | float) and not isinstance(width, bool)
  if not (is_number and 0 < width <= MAX_WIDTH):
    return f'its width is no number above 0 and at most {MAX_WIDTH}'
  if type(found.get('source', '')) is not str:
    return 'its source is no name'
  shapes = found.get('shapes')
  if type(shapes) is not dict or not 0 < len(shapes) <= _MAX_ARRAYS:
    return 'its shapes are none'
  if type(found.get('files', {})) is not dict:
    return 'its list of files is none'
  names = set(shapes)
  for name, shape in shapes.items():
    if not _is_shape(shape):
      return f'the shape of {quoted(name, 80)} is none'
    first, *rest = name.split('/')
    if first not in _COLLECTIONS or not rest or not all(rest):
      return f'{quoted(name, 80)} is no name of an array'
    parents = {name[:i] for i, letter in enumerate(name) if letter == '/'}
    if parents & names:
      return f'{quoted(name, 80)} is within another array'
  return ''


def _is_shape(value: Any) -> bool:
  return (
    type(value) is list
    and len(value) <= _MAX_DIMENSIONS
    and all(type(size) is int and size >= 0 for size in value)
    and math.prod(value) <= _MAX_SIZE
  )


def read(folder: Path) -> dict[str, Any]:
  """The arrays of a folder of converted weights, as nested dicts.

  Raises:
    UserError: it is no such folder, or damaged.
  """
  from fsnet_jax.runtime import weights_store

  description = describe(folder)
  shapes = description['shapes']
  try:
    # Before orbax, which looks at no checksum and reports damage at length.
    _check_files(folder / _ARRAYS, description)
    # Before room is made for what may be anything.
    if weights_store.stored_shapes(folder / _ARRAYS) != shapes:
      raise ValueError('its arrays have other shapes than it says')
    tree = weights_store.load_arrays(
      folder / _ARRAYS, nested(shapes_of(shapes))
    )
  except (OSError, ValueError, KeyError) as error:
    raise UserError(
      f'{folder} is damaged ({quoted(error, 200)}); {_FIX}.'
    ) from error
  if {path: array.shape for path, array in _flat(tree).items()} != shapes:
    raise UserError(f'{folder} is damaged; {_FIX}.')
  return tree


def _check_files(folder: Path, description: dict[str, Any]) -> None:
  """Raises ValueError unless each file is as it was written."""
  if description['schema'] == 1:
    return
  found = _digests(folder)
  for name, digest in description['files'].items():
    if found.get(name) != digest:
      state = 'differs from its checksum' if name in found else 'is missing'
      raise ValueError(f'{_ARRAYS}/{quoted(name, 80)} {state}')


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
