"""What is added to a convolution's channels, or multiplied with them.

Batch norm of a trained network is a number to add and one to multiply with a
channel: taken into the kernel and the bias they cost nothing, where a runtime
that does not do it itself reads and writes the whole map three times.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fsnet_jax.monitor.export.onnx_writer.onnx_graph import Graph
from fsnet_jax.monitor.export.onnx_writer.primitives import Rule

_TO_LAST = [0, 2, 3, 1]


@dataclasses.dataclass(frozen=True)
class Convolved:
  """A sum of convolutions, channels last, and how to write it.

  Attributes:
    parts: images [b k h w] by name, each with its kernel [o k y x].
    attributes: of all of them.
    bias: float32 [o].
  """

  parts: tuple[tuple[str, np.ndarray], ...]
  attributes: Mapping[str, Any]
  bias: np.ndarray | None = None

  @property
  def channels(self) -> int:
    """Of the result."""
    return self.parts[0][1].shape[0]

  def scaled(self, factors: np.ndarray) -> Convolved:
    """The same times a number a channel."""
    own = factors.reshape(-1, 1, 1, 1)
    parts = tuple((image, kernel * own) for image, kernel in self.parts)
    bias = None if self.bias is None else self.bias * factors
    return dataclasses.replace(self, parts=parts, bias=bias)

  def shifted(self, terms: np.ndarray) -> Convolved:
    """The same plus a number a channel."""
    bias = terms if self.bias is None else self.bias + terms
    return dataclasses.replace(self, bias=bias)

  def write(self, graph: Graph) -> str:
    """Adds the nodes; what an earlier call added goes if nothing needs it."""
    found = []
    for number, (image, kernel) in enumerate(self.parts):
      inputs = [image, graph.constant(kernel)]
      if number == 0 and self.bias is not None:
        inputs.append(graph.constant(self.bias))
      found.append(graph.op('Conv', *inputs, **self.attributes))
    total, *rest = found
    for one in rest:
      total = graph.op('Add', total, one)
    name = graph.op('Transpose', total, perm=_TO_LAST)
    graph.notes[name] = self
    return name


def keep(graph: Graph, name: str) -> None:
  """Has a value written as it is: several need it, so folding saves nothing."""
  if isinstance(graph.notes.get(name), Convolved):
    del graph.notes[name]


def _of_channels(graph: Graph, name: str, channels: int) -> np.ndarray | None:
  """A constant with one number a channel, the last axis; else None."""
  array = graph.array(name)
  if array is None or array.dtype != np.float32:
    return None
  if array.size == 1:
    return np.full(channels, array.reshape(()), np.float32)
  is_row = array.shape[-1] == array.size == channels
  return array.reshape(-1) if is_row else None


def _folded(
  graph: Graph, value: str, other: str
) -> tuple[Convolved, np.ndarray] | None:
  """A convolution and a number for each of its channels, if they are that."""
  own = graph.notes.get(value)
  if not isinstance(own, Convolved):
    return None
  numbers = _of_channels(graph, other, own.channels)
  return None if numbers is None else (own, numbers)


def _commuting(
  kind: str, fold: Callable[[Convolved, np.ndarray], Convolved]
) -> Rule:
  """An operator of two values whose order does not matter."""

  def rule(graph, names, ins, outs, params):
    del ins, outs, params
    for value, other in (names, names[::-1]):
      found = _folded(graph, value, other)
      if found is not None:
        return fold(*found).write(graph)
    return graph.op(kind, *names)

  return rule


def _sub(graph, names, ins, outs, params):
  del ins, outs, params
  found = _folded(graph, *names)
  if found is not None:
    return found[0].shifted(-found[1]).write(graph)
  return graph.op('Sub', *names)


RULES = {
  'mul': _commuting('Mul', Convolved.scaled),
  'add': _commuting('Add', Convolved.shifted),
  'sub': _sub,
}
