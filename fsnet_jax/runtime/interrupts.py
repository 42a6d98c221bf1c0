"""Ctrl-C and SIGTERM as a question that the loop asks between steps."""

import signal
import threading
from types import FrameType

import jax
import numpy as np


class Interrupted(Exception):
  """The run stopped early, saved, and can be continued: exit code 75."""


class StopRequest:
  """While active, SIGINT and SIGTERM only set a flag.

  A second Ctrl-C stops at once, as a user who is tired of waiting expects;
  the last finished checkpoint is then what a resumed run starts from.

  Work that ends before it looks at the flag must not swallow the request, for
  more may follow (the next cell of a comparison): leaving the block without
  another exception raises Interrupted then. With several processes leaving it
  is a collective, as `requested_anywhere` is.
  """

  _SIGNALS = (signal.SIGINT, signal.SIGTERM)

  def __init__(self):
    self._received: signal.Signals | None = None
    self._previous = {}

  def __enter__(self) -> 'StopRequest':
    # Handlers can only be set in the main thread; elsewhere (a notebook's
    # worker, say) the run simply cannot be interrupted this way.
    if threading.current_thread() is threading.main_thread():
      for number in self._SIGNALS:
        self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, raised: type[BaseException] | None, *_) -> None:
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    self._previous.clear()
    if raised is None and self.requested_anywhere():
      raise Interrupted(
        f'Interrupted by {self.signal_name}, with this step of the work done: '
        'run the same command again to continue.'
      )

  def _handle(self, number: int, frame: FrameType | None) -> None:
    if self._received is not None and number == signal.SIGINT:
      raise KeyboardInterrupt
    self._received = signal.Signals(number)

  @property
  def requested(self) -> bool:
    """True once this process has got a signal."""
    return self._received is not None

  @property
  def signal_name(self) -> str:
    """Name of the signal received, or of the one a peer received."""
    return self._received.name if self._received else 'a signal to a peer'

  def requested_anywhere(self) -> bool:
    """True on all processes as soon as any of them has got a signal.

    A collective: every process must call it at the same steps.
    """
    if jax.process_count() == 1:
      return self.requested
    from jax.experimental import multihost_utils

    flags = multihost_utils.process_allgather(np.asarray(self.requested))
    return bool(np.any(flags))
