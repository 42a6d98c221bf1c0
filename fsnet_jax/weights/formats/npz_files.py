"""NumPy's archives, read as plain arrays and checked before room is made."""

import io
import math
import tokenize
import zipfile
from pathlib import Path

import numpy as np

from common_lib.foreign import quoted

# Weights hardly compress: whatever grows more than this is no weights.
_MAX_GROWTH = 20
_FREE_BYTES = 64 << 20
_MAX_DIMENSIONS = 16

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)

# NumPy reads the header, a Python literal, by `ast.literal_eval`.
_BAD_HEADER = (
  AttributeError,
  IndexError,
  KeyError,
  MemoryError,
  OverflowError,
  RecursionError,
  SyntaxError,
  TypeError,
  ValueError,
  tokenize.TokenError,
)


def read_npz(path: Path) -> dict[str, np.ndarray]:
  """Reads every array of an archive.

  Args:
    path: of `numpy.savez` or `numpy.savez_compressed`.

  Returns:
    Arrays by name, in the file's order, read-only.

  Raises:
    ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error and what
    else `zipfile` raises: the archive is damaged, would grow to far more
    than the file, or holds something other than plain arrays of numbers.
  """
  with zipfile.ZipFile(path) as archive:
    members = archive.infolist()
    expanded = sum(info.file_size for info in members)
    if expanded > max(_FREE_BYTES, _MAX_GROWTH * path.stat().st_size):
      raise ValueError(f'it would grow to {expanded >> 20} MiB')
    names = [info.filename for info in members]
    if any(not name.endswith('.npy') for name in names):
      raise ValueError('it is a zip archive, but not one of NumPy')
    if len(set(names)) != len(names):
      raise ValueError('it holds two arrays of one name')
    return {
      info.filename.removesuffix('.npy'): _read_npy(archive, info)
      for info in members
    }


def _read_npy(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
  """One array; the shape in its header must match the bytes that follow."""
  name = quoted(info.filename, 80)
  if info.compress_type not in _METHODS:
    raise ValueError(f'{name} is compressed in a way that NumPy never uses')
  with archive.open(info) as file:
    try:
      # What zipfile calls IO[bytes] is a BufferedIOBase.
      # pyrefly: ignore[bad-argument-type]
      shape, fortran, dtype = _header(file)
    except _BAD_HEADER as error:
      reason = quoted(error, 120) or type(error).__name__
      raise ValueError(f'the header of {name} is damaged ({reason})') from error
    if dtype.kind not in 'fiub':
      kind = 'objects' if dtype.hasobject else quoted(dtype, 60)
      raise ValueError(f'{name} holds {kind}, not plain arrays of numbers')
    expected = math.prod(shape) * dtype.itemsize
    # Asked before anything is read: no room is made for what is not there.
    if info.file_size - file.tell() != expected:
      raise ValueError(f'{name} has another length than its shape says')
    data = file.read()
  order = 'F' if fortran else 'C'
  return np.frombuffer(data, dtype).reshape(shape, order=order)


def _header(file: io.BufferedIOBase) -> tuple[tuple[int, ...], bool, np.dtype]:
  """Shape, whether columns come first, and type, of an array's header."""
  version = np.lib.format.read_magic(file)
  read = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
  }.get(version)
  if read is None:
    raise ValueError(f'version {version} of the format is not known')
  shape, fortran, dtype = read(file)
  if len(shape) > _MAX_DIMENSIONS:
    raise ValueError(f'its shape has {len(shape)} dimensions')
  # NumPy lets True pass for 1, and negative numbers.
  if any(type(size) is not int or size < 0 for size in shape):
    raise ValueError(f'its shape is {quoted(shape, 60)}')
  return shape, fortran, dtype
