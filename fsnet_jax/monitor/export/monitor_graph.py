"""A monitor as one ONNX graph: a camera's images in, decisions out.

`images` of any size are brought to that of the run, as `CheckpointBackend` does
it; a network from elsewhere runs on them; what this package computes follows;
and maps are brought to the size of the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import onnx

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.export import foreign_network, resizing
from fsnet_jax.monitor.export.onnx_writer import jaxpr_to_onnx
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import BATCH, Graph
from fsnet_jax.monitor.monitor import UNCALIBRATED


def build(
  backend: CheckpointBackend, images: np.ndarray, metadata: Mapping[str, str]
) -> onnx.ModelProto:
  """Writes the graph.

  Args:
    backend: of the run.
    images: uint8 [n h w 3] at the run's size, on which a network from
      elsewhere is looked at.
    metadata: texts that are kept in the file.

  Raises:
    UserError: a part has no ONNX operator here, or a network from elsewhere
      is no ONNX file, or one that cannot be merged.
  """
  graph = Graph('images')
  size = backend.image_size
  sides = resizing.height_and_width(graph, 'images')
  fitted = resizing.bicubic(graph, 'images', size)
  names, shapes = [fitted], [jax.ShapeDtypeStruct((BATCH, *size, 3), np.uint8)]
  batch: Any = 'batch'
  about = dict(metadata)
  if backend.external is not None:
    foreign = foreign_network.open_foreign(backend.external, images)
    tensors = foreign.add_to(graph, fitted, size, backend.brings)
    names += [one.name for one in tensors]
    shapes += [
      jax.ShapeDtypeStruct((BATCH, *one.shape), np.float32) for one in tensors
    ]
    batch = foreign.batch or batch
    about |= foreign.metadata()
  labels, failure = _written(backend, graph, names, shapes)
  labels = resizing.nearest(graph, labels, size, sides)
  failure = resizing.bilinear(graph, failure, size, sides)
  own = backend.threshold
  limit = graph.constant(UNCALIBRATED if own is None else own, np.float32)
  flagged = graph.op('Greater', failure, limit)
  shape = [batch, 'height', 'width']
  try:
    return graph.model(
      {'images': ('uint8', [*shape, 3])},
      {
        'labels': (labels, 'uint8', shape),
        'failure': (failure, 'float32', shape),
        'flagged': (flagged, 'bool', shape),
      },
      about,
    )
  except (onnx.checker.ValidationError, ValueError) as error:
    problem = quoted(error, 200)
  raise UserError(
    f'This run cannot be written as ONNX ({problem}); export the segmentation '
    'network again, with opset_version=18 or later.'
  )


def _written(
  backend: CheckpointBackend,
  graph: Graph,
  names: list[str],
  shapes: list[jax.ShapeDtypeStruct],
) -> list[str]:
  """Adds what this package computes; labels and P(wrong) at the run's size."""
  closed = jaxpr_to_onnx.traced(backend.function(), *shapes)
  try:
    return jaxpr_to_onnx.write(closed, graph, names)[:2]
  except jaxpr_to_onnx.Unsupported as error:
    problem = str(error)
  raise UserError(
    f'This run cannot be written as ONNX: {problem} has no ONNX operator here; '
    'take another config.failure.preset or config.calibrate.detector.'
  )
