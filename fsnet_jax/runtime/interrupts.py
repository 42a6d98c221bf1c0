"""Ctrl-C and SIGTERM as a question that the loop asks between steps."""

import jax
import numpy as np

from common_lib import interrupts
from common_lib.interrupts import Interrupted

__all__ = ['Interrupted', 'StopRequest']


class StopRequest(interrupts.Section):
  """A section that asks all processes, and whose end is no way out.

  Work that ends before it looks at the flag must not swallow the request, for
  more may follow (the next cell of a comparison): leaving the block without
  another exception raises Interrupted then. With several processes leaving it
  is a collective, as `requested_anywhere` is.
  """

  def __exit__(self, raised: type[BaseException] | None, *rest) -> None:
    try:
      wanted, name = raised is None and self.requested_anywhere(), ''
      if wanted:
        name = self.signal_name
    finally:
      super().__exit__(raised, *rest)
      interrupts.begun()
    if wanted:
      raise Interrupted(
        f'Interrupted by {name}, with this step of the work done: run the '
        'same command again to continue.'
      )

  @property
  def requested(self) -> bool:
    """True once this process has got a signal."""
    return interrupts.requested() is not None

  @property
  def signal_name(self) -> str:
    """Name of the signal received, or of the one a peer received."""
    received = interrupts.requested()
    return received.name if received else 'a signal to a peer'

  def requested_anywhere(self) -> bool:
    """True on all processes as soon as any of them has got a signal.

    A collective: every process must call it at the same steps.
    """
    if jax.process_count() == 1:
      return self.requested
    from jax.experimental import multihost_utils

    flags = multihost_utils.process_allgather(np.asarray(self.requested))
    return bool(np.any(flags))
