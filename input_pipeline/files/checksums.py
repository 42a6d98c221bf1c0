"""Checksums of a prepared copy: it is whole, and it is what was written.

To compare them takes milliseconds whatever the size: small files are hashed
whole, of the ArrayRecord files size and samples. That finds files that are cut,
emptied, exchanged or missing; a byte that has changed between the samples is
found when it is read, by the checksum that ArrayRecord keeps of each chunk.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pathlib
from collections.abc import Generator

from common_lib.errors import UserError
from common_lib.files import read_json_object, write_json
from common_lib.foreign import quoted

FILE = 'checksums.json'

# What TFDS writes beside the ArrayRecord files.
_ALWAYS = {'dataset_info.json', 'features.json'}
_WHOLE_BYTES = 1 << 20
_END_BYTES = 1 << 16  # ArrayRecord keeps its index in the last 64 KB
_SAMPLES = 16
_SAMPLE_BYTES = 1 << 12


def write(folder: pathlib.Path) -> None:
  """Notes the files of a copy that is complete.

  Raises:
    OSError: the disk is full, or the folder cannot be written.
  """
  entries = {
    path.name: list(_entry(path))
    for path in sorted(folder.iterdir())
    if path.name != FILE
  }
  write_json(folder / FILE, entries)


def has_copy(folder: pathlib.Path) -> bool:
  """Whether there is a copy, whole or not.

  Raises:
    UserError: that cannot be seen.
  """
  try:
    os.stat(folder)
  except (FileNotFoundError, NotADirectoryError):
    return False
  except OSError as error:
    raise _unreadable(folder, error) from error
  return True


def check(folder: pathlib.Path) -> None:
  """Compares a copy with its checksums.

  Raises:
    UserError: it is damaged, or cannot be read.
  """
  entries = read_json_object(
    folder / FILE,
    what='the checksums of a prepared copy',
    fix=f'delete {folder}, it is made again',
  )
  if not entries.keys() >= _ALWAYS:
    raise _damaged(folder, f'{FILE} does not list it')
  for name, expected in entries.items():
    path = folder / pathlib.PurePath(name).name
    try:
      found = list(_entry(path))
    except FileNotFoundError:
      raise _damaged(folder, f'{name} is missing') from None
    except OSError as error:
      raise _unreadable(path, error) from error
    if found != expected:
      what = 'size' if found[:1] != expected[:1] else 'content'
      raise _damaged(folder, f'the {what} of {name} has changed')


@contextlib.contextmanager
def damage(folder: pathlib.Path, what: str = '') -> Generator[None]:
  """Takes errors for damage of the copy that is read inside.

  What TFDS and ArrayRecord raise for bytes that have changed depends on where
  these are.

  Args:
    folder: of the copy.
    what: which part is read, for the message.

  Raises:
    UserError: that the copy is damaged.
  """
  try:
    yield
  except (MemoryError, UserError):
    raise
  except Exception as error:
    raise _damaged(folder, f'{what}{quoted(error, 120)}') from error


def _damaged(folder: pathlib.Path, reason: str) -> UserError:
  return UserError(
    f'the prepared copy is damaged ({quoted(reason)}); delete {folder}, it is'
    ' made again'
  )


def _unreadable(path: pathlib.Path, error: OSError) -> UserError:
  return UserError(
    f'{path}: the prepared copy cannot be read ({error.strerror}); make it'
    ' readable or set data.cache_dir to another folder'
  )


def _entry(path: pathlib.Path) -> tuple[int, str]:
  """Bytes of a file, and SHA-256 of it or of its samples."""
  with path.open('rb') as file:
    size = os.fstat(file.fileno()).st_size
    digest = hashlib.sha256()
    if size <= _WHOLE_BYTES:
      digest.update(file.read())
      return size, digest.hexdigest()
    digest.update(file.read(_END_BYTES))
    for index in range(_SAMPLES):
      file.seek((size - _SAMPLE_BYTES) * index // (_SAMPLES - 1))
      digest.update(file.read(_SAMPLE_BYTES))
    file.seek(size - _END_BYTES)
    digest.update(file.read(_END_BYTES))
    return size, digest.hexdigest()
