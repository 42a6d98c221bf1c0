"""A run as one ONNX file: images in, classes, P(wrong) and flags out."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import jax
import numpy as np

from common_lib import class_table_file
from common_lib.errors import UserError
from common_lib.files import write_bytes
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.backends.onnx_file import OnnxBackend
from fsnet_jax.monitor.export import agreement, latency

_IMAGES = 3


@dataclasses.dataclass(frozen=True)
class Exported:
  """What was written.

  Attributes:
    path: of the file.
    size_bytes: of it.
    operations: nodes of the graph.
    difference: the largest of P(wrong) between onnxruntime and jit.
    milliseconds: of an image, batch 1, on this machine.
  """

  path: Path
  size_bytes: int
  operations: int
  difference: float
  milliseconds: float


def export(
  backend: CheckpointBackend, images: np.ndarray, path: Path, about: str
) -> Exported:
  """Writes a monitor as an ONNX file, unless it is another one.

  Args:
    backend: of the run.
    images: uint8 [n h w 3] at the run's size, that the file is tried on.
    path: of the file.
    about: what it is of, for people.

  Raises:
    UserError: onnx is not installed, a part of the networks has no ONNX
      operator here, or the file computes something else than the run.
  """
  for package in ('onnx', 'onnxruntime'):
    if importlib.util.find_spec(package) is None:
      raise UserError(
        f'--mode=export needs the package {package}: pip install onnx '
        'onnxruntime.'
      )
  from fsnet_jax.monitor.export import monitor_graph

  model = monitor_graph.build(backend, images, _metadata(backend, about))
  content, operations = model.SerializeToString(), len(model.graph.node)
  session = OnnxBackend.of_bytes(content, str(path))
  difference = _checked(backend, session, images[:_IMAGES], path)
  path.parent.mkdir(parents=True, exist_ok=True)
  write_bytes(path, content)
  return Exported(
    path,
    len(content),
    operations,
    difference,
    latency.milliseconds(session, images),
  )


def _metadata(backend: CheckpointBackend, about: str) -> dict[str, str]:
  """What the file says of itself."""
  import onnx

  threshold = backend.threshold
  table = class_table_file.to_json(backend.classes)
  return {
    'fsnet.schema': '1',
    'fsnet.classes': table,
    'fsnet.threshold': '' if threshold is None else repr(threshold),
    'fsnet.statement': backend.statement,
    'fsnet.detector': backend.detector,
    'fsnet.run': about,
    'fsnet.reference': _reference(backend),
    'fsnet.image_size': json.dumps(backend.image_size),
    'fsnet.jax': jax.__version__,
    'fsnet.onnx': onnx.__version__,
  }


def _reference(backend: CheckpointBackend) -> str:
  """Statistics of the calibration images, for whoever watches a stream."""
  if backend.reference is None:
    return ''
  return json.dumps({name: list(v) for name, v in backend.reference.items()})


def _checked(
  backend: CheckpointBackend,
  session: OnnxBackend,
  images: np.ndarray,
  path: Path,
) -> float:
  """The largest difference of P(wrong) between both.

  They are compared at the run's size, and on a cutting of another one.

  Raises:
    UserError: it is no rounding.
  """
  height, width = images.shape[1:3]
  cutting = images[:1, : -(-2 * height // 3), : -(-3 * width // 4)]
  found, sizes = [], []
  for part, resized in (
    (images, False),
    (np.ascontiguousarray(cutting), True),
  ):
    (labels, failure), (theirs, own) = backend(part), session(part)
    for k in range(len(part)):
      one = slice(k, k + 1)
      pair = (labels[one], failure[one]), (theirs[one], own[one])
      found.append(agreement.compare(*pair, resized=resized))
      sizes.append(f'{part.shape[1]}x{part.shape[2]}')
  problem = agreement.first_problem(found)
  if problem is not None:
    size = sizes[found.index(problem)]
    raise UserError(
      f'{path} was not written: on an image of {size} onnxruntime says '
      f'{problem}; report this with your versions of onnxruntime and jax.'
    )
  return max(one.difference for one in found)
