"""PyTorch's two file formats, read without PyTorch.

Since version 1.6 a file is a zip archive: `data.pkl` describes the tensors
and `data/<key>` holds the values of each storage, uncompressed. Before, it
was five pickles one after another and then the storages, each led by its
length; torchvision still ships such files. `pickles` reads the descriptions.
"""

import contextlib
import io
import math
import os
import zipfile
from collections.abc import Callable, Generator

import numpy as np

from common_lib.foreign import quoted
from fsnet_jax.weights.formats.pickles import (
  BadPickle,
  Pickled,
  Storage,
  Tensor,
  read_pickle,
)

# Descriptions of tensors; the largest networks need about 1 MiB.
_MAX_PICKLE_BYTES = 8 << 20
_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LEGACY_START = b'\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.'
_TAR_MAGIC = slice(257, 262)

Bytes = Callable[[Storage], bytes]
Arrays = Callable[[Tensor], np.ndarray]


class BadFile(ValueError):
  """The file is damaged, or in a format that is not read here."""


@contextlib.contextmanager
def open_torch(path: str | os.PathLike) -> Generator[tuple[Pickled, Arrays]]:
  """Opens a file that `torch.save` wrote.

  Args:
    path: the file.

  Yields:
    What was saved, and a function that reads the values of one `Tensor` of
    it: a read-only array. It works until the end of the context.

  Raises:
    BadFile: the file is damaged, or in another format.
    BadPickle: so is the pickle in it.
    OSError: the file cannot be read.
  """
  with open(path, 'rb') as file:
    start = file.read(512)
    file.seek(0)
    if start[:4] == b'PK\x03\x04':
      with zipfile.ZipFile(file) as archive:
        saved, read = _open_zip(archive, os.fstat(file.fileno()).st_size)
        yield saved, _cached(read)
    elif start.startswith(_LEGACY_START):
      saved, read = _open_legacy(file)
      yield saved, _cached(read)
    elif start[_TAR_MAGIC] == b'ustar':
      raise BadFile(
        'it is in the format of PyTorch before 0.1.10; load it there and '
        'save its state_dict again with torch.save'
      )
    else:
      raise BadFile('it is no file of torch.save')


def _cached(read: Bytes) -> Arrays:
  """Arrays over storages of which each is read once."""
  storages: dict[str, bytes] = {}

  def array(tensor: Tensor) -> np.ndarray:
    storage = tensor.storage
    if storage.key not in storages:
      storages[storage.key] = read(storage)
    return view(tensor, storages[storage.key])

  return array


def view(tensor: Tensor, data: bytes) -> np.ndarray:
  """A tensor as a read-only array over its storage's bytes.

  Args:
    tensor: its description, checked here against the storage.
    data: all bytes of the storage.

  Raises:
    BadFile: the tensor reaches beyond its storage or repeats its values.
  """
  storage, offset, shape, strides = tensor
  itemsize = storage.dtype.itemsize
  if len(data) != storage.count * itemsize:
    raise _other_length(storage)
  size = math.prod(shape)
  if size == 0:
    return np.zeros(shape, storage.dtype)
  last = offset + sum((n - 1) * step for n, step in zip(shape, strides))
  if last >= storage.count or size > storage.count:
    raise BadFile(
      f'a tensor of shape {shape} at {offset} with strides {strides} does '
      f'not fit in its storage of {storage.count} values'
    )
  steps = [step * itemsize if n > 1 else 0 for n, step in zip(shape, strides)]
  return np.ndarray(shape, storage.dtype, data, offset * itemsize, steps)


def _other_length(storage: Storage) -> BadFile:
  key = quoted(storage.key, 40)
  return BadFile(f'storage {key} has another length than it should')


def _open_zip(archive: zipfile.ZipFile, size: int) -> tuple[Pickled, Bytes]:
  """What a zip archive describes, and where its storages are read."""
  members = {info.filename: info for info in archive.infolist()}
  if len(members) != len(archive.infolist()):
    raise BadFile('it holds two members of one name')
  pickled = [name for name in members if name.split('/')[1:] == ['data.pkl']]
  if len(pickled) != 1:
    raise BadFile('it is a zip archive, but not one of torch.save')
  root = pickled[0].split('/')[0]
  if f'{root}/constants.pkl' in members:
    raise BadFile(
      'it is a TorchScript program; save the state_dict of the network instead'
    )
  if any(info.compress_type != zipfile.ZIP_STORED for info in members.values()):
    raise BadFile('its members are compressed, which torch.save never does')
  if sum(info.file_size for info in archive.infolist()) > size:
    raise BadFile('its members are larger than the file')

  def read(name: str, limit: int) -> bytes:
    if name not in members:
      raise BadFile(f'its member {quoted(name, 80)} is missing')
    if members[name].file_size > limit:
      raise BadFile(
        f'its member {quoted(name, 80)} is larger than it should be'
      )
    return archive.read(members[name])

  order = f'{root}/byteorder'
  if order in members and read(order, 16) != b'little':
    raise BadFile('its numbers are big-endian; save it on another machine')
  saved = read_pickle(io.BytesIO(read(pickled[0], _MAX_PICKLE_BYTES)))

  def read_storage(storage: Storage) -> bytes:
    limit = storage.count * storage.dtype.itemsize
    return read(f'{root}/data/{storage.key}', limit)

  return saved, read_storage


def _open_legacy(file: io.BufferedIOBase) -> tuple[Pickled, Bytes]:
  """What five pickles describe, and where the storages after them are."""
  head = io.BytesIO(file.read(_MAX_PICKLE_BYTES))
  magic, protocol, system = (read_pickle(head).value for _ in range(3))
  if magic != _LEGACY_MAGIC or protocol != _LEGACY_PROTOCOL:
    raise BadFile('its first bytes are not those of torch.save')
  if type(system) is not dict or system.get('little_endian') is not True:
    raise BadFile('its numbers are big-endian; save it on another machine')
  saved = read_pickle(head)
  keys = read_pickle(head).value
  if type(keys) is not list or any(type(key) is not str for key in keys):
    raise BadPickle('the list of storages is none')
  storages = saved.storages
  if set(keys) != set(storages) or len(keys) != len(storages):
    raise BadPickle('the list of storages is not that of the tensors')
  places, position = {}, head.tell()
  for key in keys:
    file.seek(position)
    storage = storages[key]
    if int.from_bytes(file.read(8), 'little') != storage.count:
      raise _other_length(storage)
    places[key] = position + 8
    position += 8 + storage.count * storage.dtype.itemsize
  if position > os.fstat(file.fileno()).st_size:
    raise BadFile('it is cut off')

  def read_storage(storage: Storage) -> bytes:
    file.seek(places[storage.key])
    return file.read(storage.count * storage.dtype.itemsize)

  return saved, read_storage
