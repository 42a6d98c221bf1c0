"""Named arrays from files of other people, whatever they hold besides.

No file can make this code run anything, allocate much more than its own
size, or return something other than plain arrays.
"""

import os
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import safetensors

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.weights.formats.npz_files import read_npz
from fsnet_jax.weights.formats.pickles import (
  BadPickle,
  ForeignName,
  Opaque,
  Pickled,
  Tensor,
)
from fsnet_jax.weights.formats.torch_files import BadFile, open_torch
from fsnet_jax.weights.prefixes import examples, without_wrappers

# Where training programs put the network among other things.
_WRAPPERS = ('state_dict', 'model', 'model_state_dict', 'model_state', 'net')
_MAX_DEPTH = 4
# Tensors of an optimiser are as large as the network, and nothing needs them.
_NOT_THE_NETWORK = ('optim', 'sched', 'scaler')
_MAX_VISITS = 1_000_000
# Of tensors that are not read here: quantised, sparse, of a later PyTorch.
_TENSOR_MAKER = re.compile(r'torch\._\w+\._rebuild|torch\..*Storage$')

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
  like is found, one under another key has that before its names; `module.`,
  `_orig_mod.` and the like are dropped wherever they stand in a name.

  Args:
    path: the file.

  Returns:
    Arrays by name, in the file's order, layout and type (bfloat16 as
    `ml_dtypes.bfloat16`), some of them read-only. Numbers, strings and
    objects among and beside the tensors of a state dict are left out.

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
  if not os.path.isfile(path):
    raise UserError(f'{path} is no file: check the path.')
  try:
    arrays = read(path)
  except ForeignName as error:
    raise UserError(
      f'{path} asks for {quoted(error, 120)} to be called, which no state '
      'dict needs, so it was not read (nothing was run); save the network by '
      'torch.save(model.state_dict(), FILE).'
    ) from error
  except _DAMAGE as error:
    reason = quoted(error) or type(error).__name__
    fix = '' if ';' in reason else '; check the file'
    raise UserError(f'{path} cannot be read: {reason}{fix}.') from error
  if not arrays:
    raise UserError(f'{path} holds no tensors; give a state dict.')
  return without_wrappers(arrays)


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
  zipfile.BadZipFile,
  zlib.error,
  safetensors.SafetensorError,
)


def _read_torch(path: Path) -> dict[str, np.ndarray]:
  with open_torch(path) as (saved, array):
    tensors = _state_dict(saved)
    return {name: array(tensor) for name, tensor in tensors.items()}


def _state_dict(saved: Pickled) -> dict[str, Tensor]:
  """The tensors of a saved object, or of what it wraps."""
  tree = saved.value
  tensors = _Search().find(tree)
  if tensors:
    return tensors
  if isinstance(tree, Opaque):
    raise ForeignName(tree.maker)
  if saved.foreign:
    raise ForeignName(saved.foreign[0])
  names = f' (it has {examples(tree)})' if type(tree) is dict and tree else ''
  raise BadFile(
    f'it is no state dict{names}, nor has it one under {", ".join(_WRAPPERS)}'
  )


class _Search:
  """Looks for tensors in nested dicts, with a bound on how long it takes."""

  def __init__(self):
    self._left = _MAX_VISITS

  def find(self, tree: Any, depth: int = 0) -> dict[str, Tensor]:
    """The tensors of the first wrapper in a dict that has any, or of all."""
    if type(tree) is not dict or depth > _MAX_DEPTH:
      return {}
    for name in _WRAPPERS:
      found = self.find(tree.get(name), depth + 1)
      if found:
        return found
      if isinstance(tree.get(name), Opaque):
        # A whole module: what else is beside it is not the network.
        raise ForeignName(tree[name].maker)
    tensors: dict[str, Tensor] = {}
    self._collect(tree, '', depth, tensors)
    return tensors

  def _collect(
    self, tree: dict[str, Any], prefix: str, depth: int, found: dict
  ) -> None:
    """Adds the tensors of nested dicts under names with dots between."""
    for name, value in tree.items():
      self._left -= 1
      if self._left < 0:
        raise BadFile('it has too many entries for a state dict')
      if isinstance(value, Tensor):
        found[prefix + name] = value
      elif isinstance(value, Opaque) and _TENSOR_MAKER.match(value.maker):
        # Skipped, it would be missed as if the file had been cut.
        raise ForeignName(value.maker)
      elif (
        type(value) is dict
        and depth < _MAX_DEPTH
        and not name.lower().startswith(_NOT_THE_NETWORK)
      ):
        self._collect(value, f'{prefix}{name}.', depth + 1, found)


def _read_safetensors(path: Path) -> dict[str, np.ndarray]:
  arrays = {}
  for name, entry in safetensors.deserialize(path.read_bytes()):
    dtype = _SAFETENSORS_DTYPES.get(entry['dtype'])
    if dtype is None:
      kind = quoted(entry['dtype'], 40)
      raise BadFile(f'{quoted(name, 80)} has the unknown type {kind}')
    values = np.frombuffer(entry['data'], dtype)
    arrays[name] = values.reshape(entry['shape'])
  return arrays


_READERS = {
  **dict.fromkeys(('.pth', '.pt', '.bin', '.ckpt', '.tar'), _read_torch),
  '.safetensors': _read_safetensors,
  '.npz': read_npz,
}
