"""A network from elsewhere inside an ONNX graph, from images to its outputs.

What `input_pipeline.external` does around it in NumPy is written as operators:
preprocessing, layouts, logarithms of probabilities, classes, sizes.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence

import numpy as np

from common_lib.errors import UserError
from fsnet_jax.monitor.export import foreign_graph, resizing
from fsnet_jax.monitor.export.foreign_graph import ForeignGraph
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import Graph, type_of
from input_pipeline.external import ExternalNetwork, OnnxNetwork
from input_pipeline.external.channel_map import ChannelMap
from input_pipeline.external.onnx_model import wiring
from input_pipeline.external.onnx_model.wiring import Output, Wiring
from input_pipeline.external.output_checks import LEAST
from input_pipeline.external.protocol import FEATURES, FLIP_LOGITS

Size = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Tensor:
  """What a graph computes, float32.

  Attributes:
    name: in the graph.
    shape: without the axis of images.
  """

  name: str
  shape: tuple[int, ...]


def open_foreign(network: ExternalNetwork, images: np.ndarray) -> Foreign:
  """Reads a network and looks at what it does.

  Args:
    network: of a run.
    images: uint8 [b h w 3] at the run's size, on which it is tried.

  Raises:
    UserError: it is no ONNX file, or one that cannot be merged.
  """
  if not isinstance(network, OnnxNetwork):
    raise UserError(
      'A file cannot hold what is no ONNX network: give one as '
      'config.segmentation.name=onnx, and train the run over that.'
    )
  return Foreign(
    foreign_graph.read(network.path),
    wiring.observed(network, images),
    network.fingerprint(),
  )


class Foreign:
  """A network in an ONNX file.

  Attributes:
    batch: images that it takes at once; 0 = any number.
  """

  def __init__(self, graph: ForeignGraph, wired: Wiring, fingerprint: str):
    """See `open_foreign`."""
    self._graph, self._wired = graph, wired
    self._fingerprint = fingerprint
    self.batch = wired.takes.batch

  def metadata(self) -> dict[str, str]:
    """What the file says of the network in it."""
    how = self._wired.how
    about = {
      'color': how.color,
      'scale': how.scale,
      'mean': how.mean,
      'std': how.std,
      'size': how.size,
    }
    return {
      'fsnet.preprocessing': json.dumps(about),
      'fsnet.segmentation': self._fingerprint,
    }

  def add_to(
    self, graph: Graph, images: str, size: Size, wanted: Sequence[str]
  ) -> list[Tensor]:
    """Adds the network, twice where the mirrored images are wanted.

    Args:
      graph: to be added to.
      images: name of uint8 [b h w 3].
      size: h and w.
      wanted: names of `input_pipeline.external.protocol`.

    Returns:
      What was wanted, in its order.
    """
    names = self._added(graph, images, size, 'segmentation/')
    classes = len(self._wired.channels.channels)
    found = []
    for one in wanted:
      if one == FEATURES:
        found.append(self._features(graph, names))
        continue
      if one == FLIP_LOGITS:
        mirrored = _mirrored(graph, images)
        again = self._added(graph, mirrored, size, 'mirrored/')
        name = _mirrored(graph, self._logits(graph, again, size))
      else:
        name = self._logits(graph, names, size)
      found.append(Tensor(name, (*size, classes)))
    return found

  def _added(
    self, graph: Graph, images: str, size: Size, prefix: str
  ) -> dict[str, str]:
    """Adds the network on images; its outputs' names there, by its own."""
    takes = self._wired.takes
    given = {takes.name: _prepared(graph, images, size, self._wired)}
    name_of = self._graph.add_to(graph, prefix, given)
    outputs = (self._wired.logits, *self._wired.features)
    return {one.name: name_of(one.name) for one in outputs}

  def _logits(self, graph: Graph, names: dict[str, str], size: Size) -> str:
    """Logits of the classes at the images' size, [b h w c]."""
    own = self._wired.logits
    logits = _channels_last(graph, names[own.name], own)
    if self._wired.are_probabilities:
      least = graph.constant(LEAST, np.float32)
      logits = graph.op('Log', graph.op('Max', logits, least))
    logits = _of_classes(graph, logits, self._wired.channels, own.channels)
    return resizing.weighted(graph, logits, own.size, size)

  def _features(self, graph: Graph, names: dict[str, str]) -> Tensor:
    """Features of all depths at the size of the finest, [b h w k]."""
    size = max((one.size for one in self._wired.features), key=np.prod)
    parts = []
    for one in self._wired.features:
      part = _channels_last(graph, names[one.name], one)
      parts.append(resizing.weighted(graph, part, one.size, size))
    name = parts[0] if len(parts) == 1 else graph.op('Concat', *parts, axis=3)
    total = sum(one.channels for one in self._wired.features)
    return Tensor(name, (*size, total))


def _prepared(graph: Graph, images: str, size: Size, wired: Wiring) -> str:
  """`input_pipeline.external.preprocessing.prepare`, and the input's type."""
  how, takes = wired.how, wired.takes
  if how.color == 'BGR':
    turned = graph.constant([2, 1, 0], np.int64)
    images = graph.op('Gather', images, turned, axis=3)
  values = graph.op('Cast', images, to=type_of(np.float32))
  if how.size is not None:
    values = resizing.weighted(graph, values, size, how.size, antialias=True)
  for kind, number in (('Div', how.scale), ('Sub', how.mean), ('Div', how.std)):
    values = graph.op(kind, values, graph.constant(number, np.float32))
  if takes.dtype == np.uint8:
    values = graph.op('Round', values)
  if takes.channels_first:
    values = graph.op('Transpose', values, perm=[0, 3, 1, 2])
  return graph.op('Cast', values, to=type_of(takes.dtype))


def _channels_last(graph: Graph, name: str, output: Output) -> str:
  """float32 [b h w k]."""
  name = graph.op('Cast', name, to=type_of(np.float32))
  if not output.channels_first:
    return name
  return graph.op('Transpose', name, perm=[0, 2, 3, 1])


def _of_classes(
  graph: Graph, logits: str, channels: ChannelMap, count: int
) -> str:
  """`ChannelMap.apply`."""
  own = channels.channels
  if own == tuple((index,) for index in range(count)):
    return logits
  if all(len(one) == 1 for one in own):
    chosen = graph.constant([one[0] for one in own], np.int64)
    return graph.op('Gather', logits, chosen, axis=3)
  parts = []
  for one in own:
    part = graph.op('Gather', logits, graph.constant(one, np.int64), axis=3)
    if len(one) > 1:
      axis = graph.constant([3], np.int64)
      part = graph.op('ReduceLogSumExp', part, axis, keepdims=1)
    parts.append(part)
  return graph.op('Concat', *parts, axis=3)


def _mirrored(graph: Graph, values: str) -> str:
  """[b h w c], left and right exchanged."""
  ends = [
    graph.constant([number], np.int64)
    for number in (-1, np.iinfo(np.int64).min, 2, -1)
  ]
  return graph.op('Slice', values, *ends)
