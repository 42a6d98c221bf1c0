"""A monitor's networks out of an ONNX file: numpy and onnxruntime alone."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from common_lib import class_table_file
from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor import statistics
from fsnet_jax.monitor.backends.card import MOST_BYTES
from input_pipeline.files import onnx_wire

_OUTPUTS = ('labels', 'failure', 'flagged')
_FIX = 'write it with --mode=export'


class OnnxBackend:
  """What `--mode=export` wrote; see `monitor.Backend`.

  Attributes:
    classes: see `Backend`.
    threshold: see `Backend`.
    statement: see `Backend`.
    image_size: (h, w) that the file takes; None = any.
    batch: images that the file takes at once; 0 = any number.
  """

  def __init__(self, session: Any, path: str):
    """Takes a session of onnxruntime; see `open`."""
    self._session = session
    found = session.get_modelmeta().custom_metadata_map
    self.classes: ClassTable = _classes(found, path)
    self.threshold: float | None = _threshold(found, path)
    self.statement: str = quoted(found.get('fsnet.statement', ''), 1000)
    self.reference = _reference(found, path)
    self.batch, self.image_size = _shape(session, path)

  @classmethod
  def open(cls, path: str | os.PathLike[str]) -> OnnxBackend:
    """Opens a file.

    Raises:
      UserError: onnxruntime is missing, or the file is no such monitor.
    """
    problem = ''
    try:
      content = onnx_wire.content_of(pathlib.Path(path))
      if not onnx_wire.external_files(content):
        return cls.of_bytes(content, str(path))
      problem = 'its weights are in another file'
    except (OSError, onnx_wire.NotOnnx) as error:
      problem = quoted(error, 200)
    raise UserError(f'{path} cannot be run as a monitor ({problem}); {_FIX}')

  @classmethod
  def of_bytes(cls, content: bytes, path: str) -> OnnxBackend:
    """As `open`, of what is in memory."""
    if importlib.util.find_spec('onnxruntime') is None:
      raise UserError(
        f'{path} needs onnxruntime: pip install -r requirements-onnx.txt'
      )
    import onnxruntime

    problem = ''
    try:
      session = onnxruntime.InferenceSession(
        content, providers=['CPUExecutionProvider']
      )
      return cls(session, path)
    except UserError:
      raise
    # onnxruntime has errors of its own for each kind of damage.
    except Exception as error:
      problem = quoted(error, 200)
    raise UserError(f'{path} cannot be run by onnxruntime ({problem}); {_FIX}')

  def __call__(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """See `Backend`; images have `image_size`, where there is one."""
    size = self.image_size
    if size is not None and size != images.shape[1:3]:
      height, width = size
      raise ValueError(
        f'images are {images.shape[1]}x{images.shape[2]}, and this file takes '
        f'{height}x{width} (height x width)'
      )
    piece = self.batch or len(images)
    found = [
      self._run(images[start : start + piece])
      for start in range(0, len(images), piece)
    ]
    labels, failure = map(np.concatenate, zip(*found, strict=True))
    return labels, failure

  def _run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels and P(wrong) of at most as many images as the file takes."""
    count = len(images)
    if count < self.batch:
      rest = np.repeat(images[-1:], self.batch - count, 0)
      images = np.concatenate([images, rest])
    labels, failure = self._session.run(
      ['labels', 'failure'], {'images': images}
    )
    return labels[:count], failure[:count]


def _classes(found: Mapping[str, str], path: str) -> ClassTable:
  """The class table in a file's metadata."""
  text = found.get('fsnet.classes', '')
  try:
    if len(text) <= MOST_BYTES:
      return class_table_file.parsed(json.loads(text), path)
  except (ValueError, RecursionError):
    pass
  raise UserError(f'{path} is no exported monitor; {_FIX}')


def _threshold(found: Mapping[str, str], path: str) -> float | None:
  """The threshold; None of a run that was not calibrated."""
  text = found.get('fsnet.threshold', '')
  if not text:
    return None
  try:
    value = float(text)
  except ValueError:
    value = -1.0
  if 0 <= value <= 1:
    return value
  raise UserError(f'{path} has no threshold between 0 and 1; {_FIX}')


def _reference(
  found: Mapping[str, str], path: str
) -> Mapping[str, tuple[float, ...]] | None:
  """Statistics of the calibration images; None where there are none."""
  text = found.get('fsnet.reference', '')
  if not text:
    return None
  try:
    if len(text) <= MOST_BYTES:
      return statistics.parsed(json.loads(text))
  except (ValueError, RecursionError):
    pass
  raise UserError(f'{path} has damaged statistics of images; {_FIX}')


def _shape(session: Any, path: str) -> tuple[int, tuple[int, int] | None]:
  """How many images of what size a file takes; 0 and None for any."""
  inputs = {one.name: one.shape for one in session.get_inputs()}
  outputs = {one.name for one in session.get_outputs()}
  shape = inputs.get('images')
  alone = set(inputs) == {'images'} and outputs == set(_OUTPUTS)
  if not shape or len(shape) != 4 or shape[3] != 3 or not alone:
    raise UserError(f'{path} is no exported monitor; {_FIX}')
  batch, height, width = shape[:3]
  batch = batch if isinstance(batch, int) else 0
  sides = [one for one in (height, width) if isinstance(one, int)]
  if len(sides) == 1:
    raise UserError(f'{path} takes images of no certain size; {_FIX}')
  return batch, (height, width) if sides else None
