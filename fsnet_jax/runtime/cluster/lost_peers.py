"""A sentence and exit code 75 where another process of the run is gone.

Nothing can be saved then, for saving takes all processes; what is on disk is
whole, and the same command goes on from it.
"""

import contextlib
import ctypes
import functools
import re
from collections.abc import Iterator

import jax

from common_lib import interrupts
from common_lib.foreign import quoted

# How errors of collectives and of the coordination service begin, and what
# they speak of.
_STATUS = re.compile(
  r'\b(UNKNOWN|INTERNAL|UNAVAILABLE|DEADLINE_EXCEEDED|ABORTED|CANCELLED|'
  r'FAILED_PRECONDITION): '
)
_LOST = re.compile(
  r'gloo|nccl|coordination|heartbeat|barrier|socket closed|connection (closed|'
  r'reset|refused)|broken pipe|unavailable|deadline|distributed service',
  re.IGNORECASE,
)
_WORD = ctypes.sizeof(ctypes.c_void_p)
_joined = False
_kept_alive = []  # What C++ was given must not be collected.


def reason(error: Exception) -> str:
  """What jaxlib said while the processes joined, in brackets; '' if nothing."""
  text = quoted(error, 100)
  return '' if 'bad_cast' in text else f' ({text})'


@contextlib.contextmanager
def watched() -> Iterator[None]:
  """Around `jax.distributed.initialize`: decides what a lost peer leads to.

  By itself jaxlib then prints a stack trace and aborts, from a thread of its
  own. It has a callback for it that jax does not hand on, and that no function
  of Python can be: the argument has no Python type, so calling it throws
  std::bad_cast, which ends in std::terminate. Both are taken here, the second
  for that exception alone. While the processes join, the same exception is an
  ordinary RuntimeError.
  """
  from jax._src.lib import _jax

  name = 'get_distributed_runtime_client'
  create = getattr(_jax, name, None)
  if create is not None:
    _take_terminate()
    setattr(
      _jax, name, functools.partial(create, missed_heartbeat_callback=_called)
    )
  try:
    yield
  finally:
    if create is not None:
      setattr(_jax, name, create)
  global _joined
  _joined = True


@contextlib.contextmanager
def noticed() -> Iterator[None]:
  """Ends the process where the block fails because another one is gone."""
  try:
    yield
  # OSError is of a pipe or a server of the user's own. What jaxlib raises is a
  # RuntimeError or, out of a compiled function, a ValueError.
  except (RuntimeError, ValueError) as error:
    text = str(error)
    lost = _STATUS.search(text) and _LOST.search(text)
    if _joined and jax.process_count() > 1 and lost:
      _leave(text)
    raise


def all_end(patience_secs: float) -> bool:
  """Whether every process comes here; a collective.

  Args:
    patience_secs: how long to wait for them.
  """
  from jax._src import distributed

  if not _joined:
    return False
  try:
    distributed.global_state.client.wait_at_barrier(
      'end', round(1000 * patience_secs)
    )
  except Exception:  # Whatever this version of jaxlib raises.
    return False
  return True


def _called(*_: object) -> None:
  if _joined:
    _leave('')


def _take_terminate() -> None:
  """Replaces C++'s last resort; does nothing where there is another C++."""
  try:
    library = ctypes.CDLL('libstdc++.so.6')
    type_of_exception = library.__cxa_current_exception_type
    set_terminate = library._ZSt13set_terminatePFvvE
  except (OSError, AttributeError):
    return
  handler = ctypes.CFUNCTYPE(None)
  type_of_exception.restype = ctypes.c_void_p
  set_terminate.restype, set_terminate.argtypes = handler, [handler]

  def terminate() -> None:
    thrown = type_of_exception()
    if _joined and thrown:
      # The second word of a std::type_info is its name.
      name = ctypes.c_char_p.from_address(thrown + _WORD).value
      if name == b'St8bad_cast':
        _leave('')
    previous()

  function = handler(terminate)
  previous = set_terminate(function)
  _kept_alive.append(function)


def _leave(problem: str) -> None:
  """Says what is known, and ends the process."""
  told = f' ({quoted(problem, 160)})' if problem else ''
  where = interrupts.where()
  where = f', {where}' if where else ''
  interrupts.leave(
    f'Another process of this run has ended or cannot be reached{told}'
    f'{where}: look at what it printed, and run the same command again on all.'
  )
