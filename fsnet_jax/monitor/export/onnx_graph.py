"""An ONNX graph that is being written: nodes, constants, the batch's size.

Functions are traced with a batch of `BATCH` images, a prime that no other size
has. Wherever it appears in a shape the file has the size of the batch that it
is given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

BATCH = 1009
OPSET, IR_VERSION = 18, 10

_TYPES: Mapping[str, int] = {
  'float32': onnx.TensorProto.FLOAT,
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
    self._constants: dict[str, np.ndarray] = {}
    self._known: dict[tuple[Any, ...], str] = {}
    self._batch = ''

  def op(self, kind: str, *inputs: str, **attributes: Any) -> str:
    """Adds a node with one output; returns that."""
    name = f'{kind.lower()}_{len(self._nodes)}'
    self._nodes.append(
      helper.make_node(kind, list(inputs), [name], name=name, **attributes)
    )
    return name

  def constant(self, value: Any, dtype: Any = None) -> str:
    """The name of an array, the same for equal ones."""
    array = np.ascontiguousarray(np.asarray(value, dtype))
    key = (array.dtype.str, array.shape, array.tobytes())
    if key not in self._known:
      self._known[key] = f'constant_{len(self._known)}'
      self._constants[self._known[key]] = array
    return self._known[key]

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
        needed.update(node.input)
    constants = [
      numpy_helper.from_array(value, name)
      for name, value in self._constants.items()
      if name in needed
    ]
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
      opset_imports=[helper.make_opsetid('', OPSET)],
      ir_version=IR_VERSION,
      producer_name='fsnet',
    )
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model)
    return model


def type_of(dtype: Any) -> int:
  """The ONNX type of a NumPy type.

  Raises:
    KeyError: it has none here.
  """
  return _TYPES[np.dtype(dtype).name]
