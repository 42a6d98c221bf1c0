"""The bytes of an ONNX file, checked before anything believes them.

The file is one protocol buffer (onnx.proto of the ONNX project; layout:
https://protobuf.dev/programming-guides/encoding). It is read without the
package `onnx`, and weights are stepped over.

A file from elsewhere may say that a tensor has 10^15 values and hold none of
them, or that its weights are in /etc/passwd: `external_files` finds both,
wherever they stand: in subgraphs, attributes and functions, too.
"""

from __future__ import annotations

import hashlib
import pathlib
from collections.abc import Iterator

from common_lib.errors import UserError
from common_lib.foreign import quoted

# What a protocol buffer can have at most.
MOST_BYTES = 2**31 - 1
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# What a message has inside, by field of onnx.proto.
_INSIDE = {
  'model': {7: 'graph', 20: 'training', 25: 'function'},
  'training': {1: 'graph', 2: 'graph'},
  'function': {7: 'node', 11: 'attribute'},
  'graph': {1: 'node', 5: 'tensor', 15: 'sparse'},
  'node': {5: 'attribute'},
  'attribute': {
    5: 'tensor',
    6: 'graph',
    10: 'tensor',
    11: 'graph',
    22: 'sparse',
    23: 'sparse',
  },
  'sparse': {1: 'tensor', 2: 'tensor'},
}
# Of which there is one: two would be merged, and so would their sizes.
_SINGLE = {('attribute', 5), ('attribute', 22), ('sparse', 1), ('sparse', 2)}
_TENSOR_DIMS, _TENSOR_EXTERNAL = 1, 13
_SPARSE_DIMS = 3
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_DEEPEST = 64
# Values that the smallest types have in a byte.
_VALUES_A_BYTE = 8
# Of a sparse tensor, which is made a full one.
_MOST_SPARSE = 2**28


class NotOnnx(ValueError):
  """The bytes are no model; the text says why."""


def external_files(content: bytes) -> tuple[str, ...]:
  """Names of the files that hold weights of a model, as the model has them.

  Args:
    content: of the model's file.

  Raises:
    NotOnnx: it is damaged, is nested too deep, or has a tensor that holds
      less than it says.
  """
  found: list[str] = []
  waiting = [('model', memoryview(content), 0)]
  while waiting:
    kind, message, depth = waiting.pop()
    if depth > _DEEPEST:
      raise NotOnnx('it is nested too deep')
    if kind == 'tensor':
      found += _checked_tensor(message)
      continue
    if kind == 'sparse' and _values(message, _SPARSE_DIMS) > _MOST_SPARSE:
      raise NotOnnx('a sparse tensor in it is too large')
    inside, seen = _INSIDE[kind], set()
    for number, part in fields(message):
      if number not in inside:
        continue
      if (kind, number) in _SINGLE and number in seen:
        raise NotOnnx('a tensor in it stands twice')
      seen.add(number)
      waiting.append((inside[number], part, depth + 1))
  return tuple(dict.fromkeys(found))


def external_digest(path: pathlib.Path, name: str) -> bytes:
  """SHA-256 of a file that a model has weights in, if it lies where it may.

  Args:
    path: of the model.
    name: of `external_files`.

  Raises:
    UserError: it is not in the folder of the model, whether by `..`, as an
      absolute path or through a link, or is no file.
  """
  folder = path.parent.resolve()
  parts = name.replace('\\', '/').split('/')
  try:
    found = (folder / name).resolve()
    leaves = '..' in parts or not parts[0] or ':' in parts[0]
    if leaves or not found.is_relative_to(folder):
      raise UserError(
        f'{path}: its weights are in {quoted(name, 120)}, which is not in the '
        'folder of the file; copy both into one folder and export with that '
        'name, or with external_data=False'
      )
    if found.is_file():
      with found.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').digest()
  except (OSError, ValueError, RuntimeError):  # A NUL; links in a circle.
    pass
  raise UserError(
    f'{path}: its weights are in {quoted(name, 120)}, which cannot be read; '
    'put that file beside it, or export with external_data=False'
  )


def content_of(path: pathlib.Path) -> bytes:
  """The bytes of a file that may be a model.

  Raises:
    NotOnnx: it is too large, or none.
    OSError: it cannot be read.
  """
  if not path.is_file():
    raise NotOnnx('it is no file')
  if path.stat().st_size > MOST_BYTES:
    raise NotOnnx('it has more than 2 GB')
  return path.read_bytes()


def fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
  """Fields of a message.

  Args:
    content: of the message.

  Yields:
    Number and content; of a number as it is encoded.

  Raises:
    NotOnnx: it is damaged.
  """
  at = 0
  while at < len(content):
    key, at = _read_varint(content, at)
    number, kind = key >> 3, key & 7
    start = at
    if kind == _VARINT:
      _, at = _read_varint(content, at)
    elif kind == _BYTES:
      length, start = _read_varint(content, at)
      at = start + length
    elif kind in (_FIXED32, _FIXED64):
      at += 4 if kind == _FIXED32 else 8
    else:
      raise NotOnnx('it is no protocol buffer')
    if at > len(content) or not number:
      raise NotOnnx('it ends too early')
    yield number, content[start:at]


def text_of(part: memoryview) -> str:
  """A field that is text.

  Raises:
    NotOnnx: it is not UTF-8.
  """
  try:
    return bytes(part).decode()
  except UnicodeDecodeError as error:
    raise NotOnnx('a name in it is no text') from error


def _checked_tensor(tensor: memoryview) -> list[str]:
  """Names of the files that have the values of a tensor, if others do.

  Raises:
    NotOnnx: the values are said to be here, and are too few.
  """
  found = []
  for number, part in fields(tensor):
    if number == _TENSOR_EXTERNAL:
      entry = list(fields(part))
      # All of them: readers differ in which of two they believe.
      keys = [text_of(value) for key, value in entry if key == _ENTRY_KEY]
      if 'location' in keys:
        found += [text_of(v) for key, v in entry if key == _ENTRY_VALUE]
  count = _values(tensor, _TENSOR_DIMS)
  if not found and count > _VALUES_A_BYTE * len(tensor):
    raise NotOnnx(f'a tensor in it says that it has {count:.3g} values')
  return found


def _values(message: memoryview, dims: int) -> float:
  """The product of a tensor's sides.

  Raises:
    NotOnnx: one is negative.
  """
  count = 1.0
  for number, part in fields(message):
    at = 0
    while number == dims and at < len(part):
      side, at = _read_varint(part, at)
      if side >= 1 << 63:
        raise NotOnnx('a tensor in it has a negative size')
      count *= side
  return count


def _read_varint(content: memoryview, at: int) -> tuple[int, int]:
  value = shift = 0
  while at < len(content) and shift < 64:
    byte = content[at]
    at += 1
    value |= (byte & 0x7F) << shift
    if byte < 0x80:
      return value, at
    shift += 7
  raise NotOnnx('it ends too early')
