"""TensorBoard's event files, written without TensorFlow.

Its import takes as long as all others of a command together, and nothing is
computed with it here: records, checksums and messages are TensorBoard's own.
"""

from __future__ import annotations

import io
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import (
  Any,
  BinaryIO,
  Protocol,
  runtime_checkable,
)

import jax
import numpy as np
from PIL import Image

# What a reader finds in the first event of a file.
_FILE_VERSION = 'brain.Event:2'


@runtime_checkable
class Writer(Protocol):
  """Where curves and pictures go."""

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """Adds a point to each curve."""

  def write_images(self, step: int, images: Mapping[str, Any]) -> None:
    """Shows pictures, uint8 [n h w 3]."""

  def flush(self) -> None:
    """Returns when everything is on the disk."""

  def close(self) -> None:
    """Ends the file."""


class _Silent:
  """A writer that writes nothing."""

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """See `Writer`."""

  def write_images(self, step: int, images: Mapping[str, Any]) -> None:
    """See `Writer`."""

  def flush(self) -> None:
    """See `Writer`."""

  def close(self) -> None:
    """See `Writer`."""


class EventWriter:
  """Writes the events of one run, as `tf.summary` does.

  Each call leaves whole records in the file, so that TensorBoard shows them
  while the run goes on; each raises OSError where they cannot be written.
  """

  def __init__(self, folder: Path):
    """Begins a file.

    Args:
      folder: of the events; made if missing.

    Raises:
      OSError: it cannot be written.
    """
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder.mkdir(parents=True, exist_ok=True)
    self._file = _new_file(folder)
    self._records = RecordWriter(self._file)
    self._write(file_version=_FILE_VERSION)
    self.flush()

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """Adds a point to each curve.

    Args:
      step: where on the curves.
      scalars: a number for each name, kept as float32.
    """
    from tensorboard.plugins.scalar.summary_v2 import scalar_pb

    for name, value in scalars.items():
      self._write(step=step, summary=scalar_pb(name, np.asarray(value)))
    self.flush()

  def write_images(self, step: int, images: Mapping[str, Any]) -> None:
    """Shows pictures.

    Args:
      step: where on the slider.
      images: uint8 [n h w 3] for each name, RGB.
    """
    for name, pictures in images.items():
      self._write(step=step, summary=_image_summary(name, pictures))
    self.flush()

  def flush(self) -> None:
    """Returns when everything is with the operating system."""
    self._records.flush()

  def close(self) -> None:
    """Ends the file."""
    self._records.close()

  def _write(self, **fields: Any) -> None:
    """Appends an event."""
    from tensorboard.compat.proto import event_pb2

    # Classes of protocol buffers are made as their module is imported.
    kind = event_pb2.Event  # pyrefly: ignore[missing-attribute]
    event = kind(wall_time=time.time(), **fields)
    self._records.write(event.SerializeToString())


def _new_file(folder: Path) -> BinaryIO:
  """A file whose name is like that of no other one."""
  stem = f'events.out.tfevents.{time.time():.0f}.{socket.gethostname()}'
  number = 0
  while True:
    try:
      return (folder / f'{stem}.{os.getpid()}.{number}.v2').open('xb')
    except FileExistsError:
      number += 1


def _image_summary(name: str, pictures: np.ndarray) -> Any:
  """Pictures uint8 [n h w 3] as TensorBoard stores them: sizes, then PNGs."""
  from tensorboard.compat.proto import summary_pb2
  from tensorboard.plugins.image import metadata
  from tensorboard.util import tensor_util

  _, height, width, _ = pictures.shape
  values = [str(width).encode(), str(height).encode(), *map(_png, pictures)]
  summary = summary_pb2.Summary()  # pyrefly: ignore[missing-attribute]
  summary.value.add(
    tag=name,
    metadata=metadata.create_summary_metadata(None, None),
    tensor=tensor_util.make_tensor_proto(np.array(values, object)),
  )
  return summary


def _png(picture: np.ndarray) -> bytes:
  """A picture uint8 [h w 3] as a file."""
  file = io.BytesIO()
  Image.fromarray(picture).save(file, format='PNG')
  return file.getvalue()


def create_writer(workdir: Path) -> Writer:
  """A TensorBoard writer; only process 0 writes."""
  return _Silent() if jax.process_index() > 0 else EventWriter(workdir)
