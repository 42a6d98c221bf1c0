"""A network from elsewhere, as nodes for another ONNX graph."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import NoReturn

import onnx
from onnx import inliner, version_converter

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import (
  OPSET,
  Graph,
  graphs_of,
)

# What a protocol buffer holds at most.
_LARGEST = 2_000_000_000
# Two names of ONNX's own operators.
_OWN = ('', 'ai.onnx')
# Before the names of its weights.
_WEIGHTS = 'weights/'


@dataclasses.dataclass(frozen=True)
class ForeignGraph:
  """What of a file is taken over.

  Attributes:
    nodes: in the order in which they can run.
    weights: by name.
    opsets: by domain, the version of the operators.
    ir_version: of the file format.
  """

  nodes: tuple[onnx.NodeProto, ...]
  weights: Mapping[str, onnx.TensorProto]
  opsets: Mapping[str, int]
  ir_version: int

  def add_to(
    self, graph: Graph, prefix: str, given: Mapping[str, str]
  ) -> Callable[[str], str]:
    """Adds a copy of the nodes; all copies share the weights.

    Args:
      graph: to be added to.
      prefix: before the names of nodes and of what they compute, so that they
        clash with no others.
      given: other names of what is given: the network's input.

    Returns:
      A tensor's name in the graph, of the one in the file.
    """
    graph.require(self.opsets, self.ir_version)
    names = {name: _WEIGHTS + name for name in self.weights}
    weights = {}
    for name, value in self.weights.items():
      own = onnx.TensorProto()
      own.CopyFrom(value)
      own.name = names[name]
      weights[own.name] = own
    names |= given
    graph.add([_renamed(node, prefix, names) for node in self.nodes], weights)
    return lambda name: names.get(name, prefix + name)


def read(path: pathlib.Path) -> ForeignGraph:
  """Reads a file, with weights in files beside it.

  Args:
    path: of the file, which onnxruntime can run.

  Raises:
    UserError: its operators are of a version that cannot be raised to this
      package's, or it is too large for one file.
  """
  model = _loaded(path)
  if model.functions:
    model = inliner.inline_local_functions(model)
  version = _version(model)
  if version < OPSET:
    model = _raised(model, version, path)
  if model.graph.sparse_initializer:
    raise UserError(
      f'{path}: it has sparse weights, which are not merged; export it with '
      'dense ones'
    )
  weights = {one.name: one for one in model.graph.initializer}
  nodes = []
  for node in model.graph.node:
    value = _constant(node)
    if value is None:
      nodes.append(node)
    else:  # So that two copies of the nodes share it.
      weights[node.output[0]] = value
  opsets = {
    '' if one.domain in _OWN else one.domain: one.version
    for one in model.opset_import
  }
  return ForeignGraph(tuple(nodes), weights, opsets, model.ir_version)


def _loaded(path: pathlib.Path) -> onnx.ModelProto:
  try:
    model = onnx.load(str(path))
  # onnx has errors of its own for each kind of damage.
  except Exception as error:
    problem = quoted(error, 200)
  else:
    if model.ByteSize() < _LARGEST:
      return model
    _refuse_size(path)
  raise UserError(f'{path}: it cannot be read ({problem}); export it again')


def _refuse_size(path: pathlib.Path) -> NoReturn:
  raise UserError(
    f'{path}: its weights are more than 2 GB, which one ONNX file cannot hold; '
    'export it in float16'
  )


def _version(model: onnx.ModelProto) -> int:
  """Of ONNX's own operators."""
  own = [one.version for one in model.opset_import if one.domain in _OWN]
  return max(own, default=OPSET)


def _raised(
  model: onnx.ModelProto, version: int, path: pathlib.Path
) -> onnx.ModelProto:
  """The same network in operators of this package's version."""
  try:
    return version_converter.convert_version(model, OPSET)
  except Exception as error:
    problem = quoted(error, 200)
  raise UserError(
    f'{path}: its operators are of opset {version}, and cannot be raised to '
    f'{OPSET} ({problem}); export it with opset_version={OPSET}'
  )


def _constant(node: onnx.NodeProto) -> onnx.TensorProto | None:
  """What a node gives that is nothing but weights."""
  if node.op_type != 'Constant' or node.domain not in _OWN:
    return None
  (attribute,) = node.attribute
  if attribute.name != 'value':
    return None
  value = onnx.TensorProto()
  value.CopyFrom(attribute.t)
  value.name = node.output[0]
  return value


def _renamed(
  node: onnx.NodeProto, prefix: str, names: Mapping[str, str]
) -> onnx.NodeProto:
  """A copy of a node with other names, graphs inside it included."""

  def name_of(name: str) -> str:
    return names.get(name, prefix + name) if name else ''

  other = onnx.NodeProto()
  other.CopyFrom(node)
  other.name = prefix + node.name if node.name else ''
  other.input[:] = [name_of(one) for one in node.input]
  other.output[:] = [name_of(one) for one in node.output]
  for graph in graphs_of(other):
    _rename_graph(graph, prefix, names)
  return other


def _rename_graph(
  graph: onnx.GraphProto, prefix: str, names: Mapping[str, str]
) -> None:
  """Renames all in a graph in a node; none of it has a name of outside."""
  for values in (graph.initializer, graph.input, graph.output):
    for one in values:
      one.name = names.get(one.name, prefix + one.name)
  del graph.value_info[:]
  nodes = [_renamed(node, prefix, names) for node in graph.node]
  del graph.node[:]
  graph.node.extend(nodes)
