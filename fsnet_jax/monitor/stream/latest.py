"""A queue that rather forgets than falls behind."""

from __future__ import annotations

import collections
import threading
import time

from fsnet_jax.monitor.stream.frames import Frame


class LatestFrames:
  """Frames between a camera and a monitor that is slower than it.

  A full queue drops its oldest frame: what a robot needs to know is what is in
  front of it now. Any number of threads may use it.

  Attributes:
    dropped: how many frames were.
  """

  def __init__(self, size: int = 1):
    """Empty.

    Args:
      size: most frames that wait, at least 1.

    Raises:
      ValueError: no frame could wait.
    """
    if size < 1:
      raise ValueError(f'a queue of {size} frames holds none')
    self._frames: collections.deque[tuple[Frame, float]] = collections.deque()
    self._size, self._closed = size, False
    self._changed = threading.Condition()
    self.dropped = 0

  def put(self, frame: Frame) -> None:
    """Adds the newest frame; never waits. Nothing after `close`."""
    with self._changed:
      if self._closed:
        return
      if len(self._frames) == self._size:
        self._frames.popleft()
        self.dropped += 1
      self._frames.append((frame, time.perf_counter()))
      self._changed.notify()

  def get(self, timeout: float | None = None) -> tuple[Frame, float] | None:
    """Takes the oldest frame that waits.

    Args:
      timeout: seconds to wait for one; None for any time.

    Returns:
      The frame and how many seconds it has waited; None once the queue is
      closed and empty, or the time is over.
    """
    with self._changed:
      self._changed.wait_for(lambda: self._frames or self._closed, timeout)
      if not self._frames:
        return None
      frame, since = self._frames.popleft()
      return frame, time.perf_counter() - since

  def close(self) -> None:
    """No more frames come; those that wait are still given out."""
    with self._changed:
      self._closed = True
      self._changed.notify_all()

  @property
  def closed(self) -> bool:
    """Whether no more frames come."""
    with self._changed:
      return self._closed
