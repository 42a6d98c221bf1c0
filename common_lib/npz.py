"""Arrays of an .npz file that somebody may have damaged."""

import io
import math
import os
import pathlib
import struct
import tokenize
import zipfile
import zlib
from typing import BinaryIO

import numpy as np

from common_lib.errors import UserError
from common_lib.foreign import quoted

_MOST_BYTES = 1 << 36
_SUFFIX = '.npy'
# Of a zip archive's last record, without a comment.
_END_BYTES = 22
# What zipfile and numpy raise on files that are none of theirs.
_DAMAGE = (
  OSError,
  ValueError,
  TypeError,
  KeyError,
  EOFError,
  MemoryError,
  OverflowError,
  NotImplementedError,
  RuntimeError,
  SyntaxError,
  struct.error,
  tokenize.TokenError,
  zipfile.BadZipFile,
  zlib.error,
)


def read_npz(
  path: str | os.PathLike[str], *, what: str, fix: str, prefix: str = ''
) -> dict[str, np.ndarray]:
  """Every array of a file of `np.savez`, compared with its checksums.

  `np.load` reads headers before it knows whether they are whole, and not
  every member to its end, where the archive's checksum is compared.

  Args:
    path: the file.
    what: what it is, for the message.
    fix: what the user can do, for the message.
    prefix: how the names of the arrays that are read begin.

  Returns:
    Arrays of numbers or booleans by name, writable.

  Raises:
    UserError: it is missing, damaged, or holds anything else.
  """
  try:
    return _read(pathlib.Path(path), prefix)
  except _DAMAGE as error:
    problem = getattr(error, 'strerror', None) or error
    problem = quoted(problem or type(error).__name__, 120)
  raise UserError(f'{path}, {what}, cannot be read ({problem}): {fix}.')


def _read(path: pathlib.Path, prefix: str) -> dict[str, np.ndarray]:
  arrays = {}
  with path.open('rb') as file, zipfile.ZipFile(file) as archive:
    members = archive.infolist()
    if len(members) != _count(file):
      raise ValueError('its table of contents is damaged')
    if sum(info.file_size for info in members) > _MOST_BYTES:
      raise ValueError('it is too large')
    for info in members:
      name = info.filename.removesuffix(_SUFFIX)
      if name == info.filename or name in arrays:
        raise ValueError('it is no archive of arrays')
      if name.startswith(prefix):
        # Read whole: the checksum is compared at the end.
        arrays[name] = _array(archive.read(info))
  return arrays


def _count(file: BinaryIO) -> int:
  """How many members an archive says to have, in its last record.

  zipfile does not compare it: a damaged table of contents may lose members.
  """
  file.seek(-_END_BYTES, io.SEEK_END)
  end = file.read()
  return int.from_bytes(end[10:12], 'little')


def _array(content: bytes) -> np.ndarray:
  """One array of the format .npy, whose header tells its length."""
  layout = np.lib.format
  file = io.BytesIO(content)
  read_header = {
    (1, 0): layout.read_array_header_1_0,
    (2, 0): layout.read_array_header_2_0,
  }.get(layout.read_magic(file))
  if read_header is None:
    raise ValueError('an array is of an unknown version of its format')
  shape, fortran, dtype = read_header(file)
  if any(type(side) is not int or side < 0 for side in shape):
    raise ValueError(f'an array has the shape {shape}')
  if dtype.kind not in 'fiub':
    raise ValueError(f'an array is of the type {dtype}')
  data = file.read()
  if len(data) != math.prod(shape) * dtype.itemsize:
    raise ValueError('an array is not as long as its shape says')
  order = 'F' if fortran else 'C'
  return np.frombuffer(data, dtype).reshape(shape, order=order).copy(order)
