"""TensorBoard events through clu's metric writers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax

if TYPE_CHECKING:
  from clu.metric_writers import MetricWriter


@runtime_checkable
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


class _Behind:
  """clu's TensorBoard writer, in a thread that opens it when first written to.

  Opening imports TensorFlow, which takes as long as all other imports of a
  command together: training goes on meanwhile, and whoever writes nothing, or
  has made a mistake, never waits for it. Calls keep their order; what goes
  wrong is raised by a later call, `flush` at the latest.
  """

  def __init__(self, workdir: Path):
    """Nothing is opened yet."""
    self._workdir, self._is_there = workdir, workdir.is_dir()
    self._thread = ThreadPoolExecutor(1, 'events')
    self._calls: list[Future[None]] = []
    self._opened: MetricWriter | None = None

  def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
    """See `Writer`."""
    self._call(lambda writer: writer.write_scalars(step, scalars))

  def write_images(self, step: int, images: Mapping[str, Any]) -> None:
    """See `Writer`."""
    self._call(lambda writer: writer.write_images(step, images))

  def flush(self) -> None:
    """See `Writer`."""
    if self._opened is not None or self._calls:
      self._call(lambda writer: writer.flush())
    self._raise(wait=True)

  def close(self) -> None:
    """See `Writer`."""
    if self._opened is not None or self._calls:
      self._call(lambda writer: writer.close())
    self._thread.shutdown()
    self._raise(wait=True)

  def _call(self, call: Callable[[MetricWriter], None]) -> None:
    self._raise(wait=False)
    self._calls.append(self._thread.submit(self._do, call))

  def _do(self, call: Callable[[MetricWriter], None]) -> None:
    """In the thread."""
    if self._opened is None:
      from clu.metric_writers import SummaryWriter

      if self._is_there and not self._workdir.is_dir():
        # Somebody has deleted the run: it is not to come back as its events.
        return
      self._opened = SummaryWriter(str(self._workdir))
    call(self._opened)

  def _raise(self, wait: bool) -> None:
    """Raises what a call that is done, or all of them, met."""
    while self._calls and (wait or self._calls[0].done()):
      self._calls.pop(0).result()


def create_writer(workdir: Path) -> Writer:
  """A TensorBoard writer that nobody waits for; only process 0 writes.

  clu's default writer would also log every scalar; the progress line does
  that in a form meant for people.
  """
  return _Silent() if jax.process_index() > 0 else _Behind(workdir)
