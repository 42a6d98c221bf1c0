"""TensorBoard events through clu's metric writers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jax

if TYPE_CHECKING:
  from clu import metric_writers


class Writer(Protocol):
  """What this program uses of clu's `MetricWriter`."""

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """Adds a point to each curve."""

  def write_images(self, step: int, images: Mapping[str, Any]) -> None:
    """Shows pictures [n h w 3]."""

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


def create_writer(workdir: Path) -> Writer | metric_writers.MetricWriter:
  """An asynchronous TensorBoard writer; only process 0 writes.

  clu's default writer would also log every scalar; the progress line does
  that in a form meant for people.
  """
  if jax.process_index() > 0:
    return _Silent()
  # Imports all of TensorFlow: seconds that nobody should wait who writes
  # nothing, or who has made a mistake.
  from clu import metric_writers

  return metric_writers.AsyncWriter(metric_writers.SummaryWriter(str(workdir)))
