"""What an ONNX file says of its graph, read without the package `onnx`.

Only names are read (`onnx_wire`); weights are stepped over. A message that
stands behind another one of its type is merged with it, which is how an output
is added without touching the rest.
"""

from __future__ import annotations

import dataclasses

from input_pipeline.files.onnx_wire import (
  NotOnnx,
  external_files,
  fields,
  text_of,
)

_BYTES = 2
# Numbers of fields in onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_OUTPUT = 1, 12
_NODE_INPUT, _NODE_OUTPUT, _NODE_NAME, _NODE_OPERATOR = 1, 2, 3, 4
_VALUE_NAME = 1


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
    NotOnnx: it is damaged, or something else; as `onnx_wire.external_files`.
  """
  nodes, outputs = [], []
  model = memoryview(content)
  graphs = [part for number, part in fields(model) if number == _MODEL_GRAPH]
  for graph in graphs:
    for number, part in fields(graph):
      if number == _GRAPH_NODE:
        nodes.append(_node(part))
      elif number == _GRAPH_OUTPUT:
        outputs += _texts(part, _VALUE_NAME)
  if not outputs:
    raise NotOnnx('it has no outputs')
  return Graph(tuple(nodes), tuple(outputs), external_files(content))


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
  for number, part in fields(content):
    if number == _NODE_INPUT:
      inputs.append(text_of(part))
    elif number == _NODE_OUTPUT:
      outputs.append(text_of(part))
    elif number == _NODE_NAME:
      name = text_of(part)
    elif number == _NODE_OPERATOR:
      operator = text_of(part)
  return Node(name, operator, tuple(inputs), tuple(outputs))


def _texts(content: memoryview, wanted: int) -> list[str]:
  return [text_of(part) for number, part in fields(content) if number == wanted]
