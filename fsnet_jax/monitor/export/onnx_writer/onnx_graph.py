"""An ONNX graph that is being written: nodes, constants, the batch's size.

Functions are traced with a batch of `BATCH` images, a prime that no other size
has. Wherever it appears in a shape the file has the size of the batch that it
is given.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

BATCH = 1009
OPSET, IR_VERSION = 18, 10

_TYPES: Mapping[str, int] = {
  'float16': onnx.TensorProto.FLOAT16,
  'float32': onnx.TensorProto.FLOAT,
  'float64': onnx.TensorProto.DOUBLE,
  'int32': onnx.TensorProto.INT32,
  'int64': onnx.TensorProto.INT64,
  'uint8': onnx.TensorProto.UINT8,
  'int8': onnx.TensorProto.INT8,
  'uint32': onnx.TensorProto.UINT32,
  'bool': onnx.TensorProto.BOOL,
}


class Graph:
  """What has been written so far."""

  def __init__(self, images: str):
    """Begins with nothing.

    Args:
      images: name of the input whose first axis is the batch.
    """
    self._images = images
    self._nodes: list[onnx.NodeProto] = []
    self._count = 0
    self._constants: dict[str, np.ndarray] = {}
    self._weights: dict[str, onnx.TensorProto] = {}
    self._opsets: dict[str, int] = {'': OPSET}
    self._ir_version = IR_VERSION
    self._known: dict[tuple[Any, ...], str] = {}
    # What rules remember of values, by name: a convolution's parts, the pieces
    # of what was put together.
    self.notes: dict[str, Any] = {}
    self._batch = ''

  def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
    """Adds a node with one output; returns that."""
    name = f'{kind.lower()}_{self._count}'
    self._count += 1
    self._nodes.append(
      helper.make_node(kind, list(inputs), [name], name=name, **attributes)
    )
    return name

  def add(
    self,
    nodes: Iterable[onnx.NodeProto],
    weights: Mapping[str, onnx.TensorProto],
  ) -> None:
    """Adds nodes of another graph, whose names are none of this one's.

    Args:
      nodes: in the order in which they can run.
      weights: that they use, by name.
    """
    self._nodes.extend(nodes)
    self._weights.update(weights)

  def require(self, opsets: Mapping[str, int], ir_version: int) -> None:
    """Makes the file one of at least these versions.

    Args:
      opsets: by domain, the version of its operators.
      ir_version: of the file format.
    """
    for domain, version in opsets.items():
      self._opsets[domain] = max(version, self._opsets.get(domain, 0))
    self._ir_version = max(ir_version, self._ir_version)

  @contextlib.contextmanager
  def body(self) -> Generator[list[onnx.NodeProto]]:
    """Collects the nodes that are added meanwhile, for a graph in a node.

    They may use names from outside; `shape` of a batch belongs outside.
    """
    outside, self._nodes = self._nodes, []
    try:
      yield self._nodes
    finally:
      self._nodes = outside

  def constant(self, value: Any, dtype: Any = None) -> str:
    """The name of an array, the same for equal ones."""
    array = np.array(value, dtype, order='C')
    # Not the bytes: a classifier's kernel has 400 MB of them.
    content = hashlib.sha256(array.tobytes()).digest()
    key = (array.dtype.str, array.shape, content)
    if key not in self._known:
      self._known[key] = f'constant_{len(self._known)}'
      self._constants[self._known[key]] = array
    return self._known[key]

  def array(self, name: str) -> np.ndarray | None:
    """The constant of this name; None of what is computed."""
    return self._constants.get(name)

  def shape(self, sizes: Sequence[int]) -> str:
    """A shape as an int64 vector, which may hold the batch's size."""
    if BATCH not in sizes:
      return self.constant(sizes, np.int64)
    if not self._batch:
      whole = self.op('Shape', self._images)
      zero, one = self.constant([0], np.int64), self.constant([1], np.int64)
      self._batch = self.op('Slice', whole, zero, one)
    parts = [
      self._batch if size == BATCH else self.constant([size], np.int64)
      for size in sizes
    ]
    return self.op('Concat', *parts, axis=0)

  def model(
    self,
    inputs: Mapping[str, tuple[str, Sequence[Any]]],
    outputs: Mapping[str, tuple[str, str, Sequence[Any]]],
    metadata: Mapping[str, str],
  ) -> onnx.ModelProto:
    """The file, without the nodes that no output needs.

    Args:
      inputs: by name, the type and the shape.
      outputs: by name, the name in the graph, the type and the shape.
      metadata: texts that are kept in the file.
    """
    ends = [
      helper.make_node('Identity', [source], [name], name=name)
      for name, (source, _, _) in outputs.items()
    ]
    nodes, needed = [], set(outputs)
    for node in reversed([*self._nodes, *ends]):
      if needed.intersection(node.output):
        nodes.append(node)
        needed.update(names_used(node))
    constants = [
      numpy_helper.from_array(value, name)
      for name, value in self._constants.items()
      if name in needed
    ]
    constants += [w for name, w in self._weights.items() if name in needed]
    graph = helper.make_graph(
      nodes[::-1],
      'monitor',
      [
        helper.make_tensor_value_info(name, _TYPES[kind], shape)
        for name, (kind, shape) in inputs.items()
      ],
      [
        helper.make_tensor_value_info(name, _TYPES[kind], shape)
        for name, (_, kind, shape) in outputs.items()
      ],
      constants,
    )
    model = helper.make_model(
      graph,
      opset_imports=[helper.make_opsetid(*one) for one in self._opsets.items()],
      ir_version=self._ir_version,
      producer_name='fsnet',
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model


def graphs_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
  """The graphs inside a node: branches, bodies of loops."""
  found = []
  for attribute in node.attribute:
    if attribute.type == onnx.AttributeProto.GRAPH:
      found.append(attribute.g)
    found += attribute.graphs
  return found


def names_used(node: onnx.NodeProto) -> set[str]:
  """Names that a node takes, those that graphs inside it take included."""
  names = set(node.input)
  for graph in graphs_of(node):
    names.update(one.name for one in graph.output)
    for inner in graph.node:
      names |= names_used(inner)
  return names


def type_of(dtype: Any) -> int:
  """The ONNX type of a NumPy type.

  Raises:
    KeyError: it has none here.
  """
  return _TYPES[np.dtype(dtype).name]
