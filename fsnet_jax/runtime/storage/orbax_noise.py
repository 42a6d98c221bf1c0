"""Keeps to itself what orbax prints of errors that it raises as well."""

import logging
import os
import sys


class _OrbaxErrors(logging.Filter):
  """Drops the errors that orbax logs, and those out of its tasks."""

  def filter(self, record: logging.LogRecord) -> bool:
    """False for what is to be dropped."""
    if record.levelno < logging.ERROR:
      return True
    # Of arrays; nothing else here is read or written by tasks.
    if 'exception was never retrieved' in record.getMessage():
      return False
    files = [record.pathname]
    trace = record.exc_info[2] if isinstance(record.exc_info, tuple) else None
    while trace is not None:
      files.append(trace.tb_frame.f_code.co_filename)
      trace = trace.tb_next
    return not any(f'{os.sep}orbax{os.sep}' in file for file in files)


class _LateAnswers:
  """Drops what TensorStore tells an event loop that an error has closed."""

  def __init__(self):
    self._next = sys.unraisablehook

  def __call__(self, unraisable: 'sys.UnraisableHookArgs') -> None:
    """Stands in for `sys.unraisablehook`."""
    if str(unraisable.exc_value) != 'Event loop is closed':
      self._next(unraisable)


_FILTER = _OrbaxErrors()


def silence() -> None:
  """A failed save or read is one sentence, not tracebacks and a sentence.

  Orbax logs each error in each of its threads before raising it; of arrays
  that are read together with the one whose error is raised, asyncio logs the
  errors, and Python that nobody waits for the rest.
  """
  for name in ('absl', 'asyncio'):
    logger = logging.getLogger(name)
    if _FILTER not in logger.filters:
      logger.addFilter(_FILTER)
  if not isinstance(sys.unraisablehook, _LateAnswers):
    sys.unraisablehook = _LateAnswers()
