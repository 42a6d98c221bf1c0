"""Named arrays from files of other people, whatever they hold besides.

No file can make this code run anything, allocate much more than its own
size, or return something other than plain arrays.
"""

import math
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from common_lib.errors import UserError
from fsnet_jax.weights.pickles import BadPickle, ForeignName, Tensor
from fsnet_jax.weights.torch_files import BadFile, open_torch

# Where training programs put the network among other things.
_WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'model_state', 'net')
# What DataParallel and torch.compile put before every name.
_PREFIXES = ('module.', '_orig_mod.')

# Weights hardly compress: whatever grows more than this is no weights.
_MAX_GROWTH = 20
_FREE_BYTES = 64 << 20

_SAFETENSORS_DTYPES = {
  'F64': np.dtype('<f8'),
  'F32': np.dtype('<f4'),
  'F16': np.dtype('<f2'),
  'BF16': np.dtype(ml_dtypes.bfloat16),
  'I64': np.dtype('<i8'),
  'I32': np.dtype('<i4'),
  'I16': np.dtype('<i2'),
  'I8': np.dtype('i1'),
  'U64': np.dtype('<u8'),
  'U32': np.dtype('<u4'),
  'U16': np.dtype('<u2'),
  'U8': np.dtype('u1'),
  'BOOL': np.dtype('?'),
}


def read_tensors(path: str | os.PathLike) -> dict[str, np.ndarray]:
  """Reads every tensor of a checkpoint.

  `.pth`, `.pt`, `.bin`, `.ckpt` and `.tar` are files of `torch.save` (read
  without PyTorch, as data: nothing pickled is ever run); `.safetensors` and
  `.npz` are what they say. A state dict inside `state_dict`, `model` or the
  like is found; `module.` and `_orig_mod.` before every name are dropped.

  Args:
    path: the file.

  Returns:
    Arrays by name, in the file's order, layout and type (bfloat16 as
    `ml_dtypes.bfloat16`), some of them read-only. Numbers and strings among
    the tensors of a state dict are left out.

  Raises:
    UserError: there is no such file, its format is not one of these, it is
      damaged, or it holds something other than arrays.
  """
  path = Path(path)
  read = _READERS.get(path.suffix.lower())
  if read is None:
    raise UserError(
      f'{path} is in no known format: give a file named '
      f'{", ".join(sorted(_READERS))}.'
    )
  if not path.is_file():
    raise UserError(f'{path} is no file: check the path.')
  try:
    arrays = read(path)
  except ForeignName as error:
    raise UserError(
      f'{path} asks for {error} to be called, which no state dict needs, so '
      'it was not read (nothing was run); save the network by '
      'torch.save(model.state_dict(), FILE).'
    ) from error
  except _DAMAGE as error:
    reason = str(error) or type(error).__name__
    mend = '' if ';' in reason else '; check the file'
    raise UserError(f'{path} cannot be read: {reason}{mend}.') from error
  if not arrays:
    raise UserError(f'{path} holds no tensors; give a state dict.')
  return _without_prefixes(arrays)


_DAMAGE = (
  BadFile,
  BadPickle,
  OSError,
  ValueError,
  EOFError,
  MemoryError,
  OverflowError,
  NotImplementedError,
  RuntimeError,
  struct.error,
  tokenize.TokenError,
  zipfile.BadZipFile,
  zlib.error,
  safetensors.SafetensorError,
)


def _without_prefixes(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  found = True
  while found:
    found = False
    for prefix in _PREFIXES:
      if all(name.startswith(prefix) for name in arrays):
        arrays = {name[len(prefix) :]: a for name, a in arrays.items()}
        found = True
  return arrays


def _read_torch(path: Path) -> dict[str, np.ndarray]:
  with open_torch(path) as (tree, array):
    tensors = _state_dict(tree)
    return {name: array(tensor) for name, tensor in tensors.items()}


def _state_dict(tree: Any) -> dict[str, Tensor]:
  """The tensors of a saved object, or of what it wraps."""
  for _ in range(3):
    if type(tree) is not dict:
      break
    tensors = {
      name: value
      for name, value in tree.items()
      if isinstance(value, Tensor) and type(name) is str
    }
    inner = [tree[name] for name in _WRAPPERS if type(tree.get(name)) is dict]
    if tensors and not inner:
      return tensors
    tree = inner[0] if inner else None
  raise BadFile(
    'it is no state dict, nor has it one under ' + ', '.join(_WRAPPERS)
  )


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
  arrays = {}
  for name, entry in safetensors.deserialize(path.read_bytes()):
    dtype = _SAFETENSORS_DTYPES.get(entry['dtype'])
    if dtype is None:
      raise BadFile(f'{name} has the unknown type {entry["dtype"]}')
    values = np.frombuffer(entry['data'], dtype)
    arrays[name] = values.reshape(entry['shape'])
  return arrays


def _read_npz(path: Path) -> dict[str, np.ndarray]:
  with zipfile.ZipFile(path) as archive:
    members = archive.infolist()
    expanded = sum(info.file_size for info in members)
    if expanded > max(_FREE_BYTES, _MAX_GROWTH * path.stat().st_size):
      raise BadFile(f'it would grow to {expanded >> 20} MiB')
    if any(not info.filename.endswith('.npy') for info in members):
      raise BadFile('it is a zip archive, but not one of NumPy')
    return {
      info.filename.removesuffix('.npy'): _read_npy(archive, info)
      for info in members
    }


def _read_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
  """One array; the shape in its header must match the bytes that follow."""
  header = np.lib.format
  with archive.open(info) as file:
    version = header.read_magic(file)
    read = {
      (1, 0): header.read_array_header_1_0,
      (2, 0): header.read_array_header_2_0,
    }.get(version)
    if read is None:
      raise BadFile(f'{info.filename} has version {version} of its format')
    shape, fortran, dtype = read(file)
    if dtype.kind not in 'fiub':
      raise BadFile(f'{info.filename} holds {dtype}, not plain arrays')
    data = file.read()
  if len(data) != math.prod(shape) * dtype.itemsize:
    raise BadFile(f'{info.filename} has another length than its shape says')
  order = 'F' if fortran else 'C'
  return np.frombuffer(data, dtype).reshape(shape, order=order)


_READERS = {
  **dict.fromkeys(('.pth', '.pt', '.bin', '.ckpt', '.tar'), _read_torch),
  '.safetensors': _read_safetensors,
  '.npz': _read_npz,
}
