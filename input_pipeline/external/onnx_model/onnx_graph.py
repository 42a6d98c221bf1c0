"""What an ONNX file says of its graph, read without the package `onnx`.

The file is one protocol buffer (onnx.proto of the ONNX project; layout:
https://protobuf.dev/programming-guides/encoding). Only names are read; weights
are stepped over. A message that stands behind another one of its type is merged
with it, which is how an output is added without touching the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Numbers of fields in onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_TENSOR, _GRAPH_OUTPUT = 1, 5, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR = 1, 2, 3, 4
_TENSOR_EXTERNAL = 13
_VALUE_NAME = 1
_ENTRY_KEY, _ENTRY_VALUE = 1, 2


class NotOnnx(ValueError):
  """The bytes are no model."""


@dataclasses.dataclass(frozen=True)
class Node:
  """One operation.

  Attributes:
    name: of the operation, often ''.
    operator: 'Conv', 'ArgMax', ...
    inputs: names of tensors.
    outputs: names of tensors.
  """

  name: str
  operator: str
  inputs: tuple[str, ...]
  outputs: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Graph:
  """What of a model is looked at.

  Attributes:
    nodes: its operations, those inside loops and branches left out.
    outputs: names of the outputs.
    external: names of further files, relative to the model's folder, that
      hold weights.
  """

  nodes: tuple[Node, ...]
  outputs: tuple[str, ...]
  external: tuple[str, ...]

  def tensors(self) -> tuple[str, ...]:
    """Names of all that the operations compute."""
    return tuple(name for node in self.nodes for name in node.outputs if name)

  def maker(self, tensor: str) -> Node | None:
    """The operation that computes a tensor."""
    return next((n for n in self.nodes if tensor in n.outputs), None)


def read(content: bytes) -> Graph:
  """Reads the graph of a model.

  Args:
    content: of the file.

  Raises:
    NotOnnx: it is damaged, or something else.
  """
  nodes, outputs, external = [], [], []
  model = memoryview(content)
  graphs = [part for number, part in _fields(model) if number == _MODEL_GRAPH]
  for graph in graphs:
    for number, part in _fields(graph):
      if number == _GRAPH_NODE:
        nodes.append(_node(part))
      elif number == _GRAPH_OUTPUT:
        outputs += _texts(part, _VALUE_NAME)
      elif number == _GRAPH_TENSOR:
        external += _locations(part)
  if not outputs:
    raise NotOnnx('it has no outputs')
  return Graph(tuple(nodes), tuple(outputs), tuple(dict.fromkeys(external)))


def with_outputs(content: bytes, names: tuple[str, ...]) -> bytes:
  """The model with further outputs, tensors that it computes anyway.

  Args:
    content: of the file.
    names: of tensors of `Graph.tensors`.
  """
  for name in names:
    value = _field(_VALUE_NAME, name.encode())
    graph = _field(_GRAPH_OUTPUT, value)
    content += _field(_MODEL_GRAPH, graph)
  return content


def _field(number: int, content: bytes) -> bytes:
  return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
  found = bytearray()
  while value > 0x7F:
    found.append(value & 0x7F | 0x80)
    value >>= 7
  found.append(value)
  return bytes(found)


def _node(content: memoryview) -> Node:
  inputs, outputs, name, operator = [], [], '', ''
  for number, part in _fields(content):
    if number == _NODE_INPUT:
      inputs.append(_text(part))
    elif number == _NODE_OUTPUT:
      outputs.append(_text(part))
    elif number == _NODE_NAME:
      name = _text(part)
    elif number == _NODE_OPERATOR:
      operator = _text(part)
  return Node(name, operator, tuple(inputs), tuple(outputs))


def _locations(tensor: memoryview) -> list[str]:
  """The file that a tensor's values are in, if they are not here."""
  found = []
  for number, part in _fields(tensor):
    if number == _TENSOR_EXTERNAL and _texts(part, _ENTRY_KEY) == ['location']:
      found += _texts(part, _ENTRY_VALUE)
  return found


def _texts(content: memoryview, wanted: int) -> list[str]:
  return [_text(part) for number, part in _fields(content) if number == wanted]


def _text(part: memoryview) -> str:
  try:
    return bytes(part).decode()
  except UnicodeDecodeError as error:
    raise NotOnnx('a name in it is no text') from error


def _fields(content: memoryview) -> Iterator[tuple[int, memoryview]]:
  """Fields of a message: number and content, empty of what is a number."""
  at = 0
  while at < len(content):
    key, at = _read_varint(content, at)
    number, kind = key >> 3, key & 7
    if kind == _VARINT:
      _, at = _read_varint(content, at)
      start = at
    elif kind == _BYTES:
      length, start = _read_varint(content, at)
      at = start + length
    elif kind in (_FIXED32, _FIXED64):
      start = at = at + (4 if kind == _FIXED32 else 8)
    else:
      raise NotOnnx('it is no protocol buffer')
    if at > len(content) or not number:
      raise NotOnnx('it ends too early')
    yield number, content[start:at]


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
