"""How far something is: a bar on a terminal, now and then a line in a log."""

import sys
import threading
import time

import tqdm

from common_lib.console import say
from common_lib.foreign import quoted


class _Bar(tqdm.tqdm):
  """Without the thread and the semaphores of the system that tqdm begins."""

  monitor_interval = 0
  _lock = threading.RLock()


class ProgressBar:
  """tqdm's bar, and whole lines without control characters in a log."""

  def __init__(
    self,
    total: int,
    what: str,
    *,
    before: str = '',
    after: str = '',
    timed: bool = False,
    log_secs: float = 0.0,
  ):
    """Starts the clock.

    Args:
      total: how many there are to be.
      what: of what, for example 'scenes'.
      before: what the line begins with.
      after: what it ends with.
      timed: whether rate and remaining time are shown.
      log_secs: least time to the first line in a log and between two.
    """
    times = ', {rate_noinv_fmt}, {remaining} left' if timed else ''
    self._total, self._log_secs = total, log_secs
    self._format = ''.join(
      (
        f'{_literal(before)}[{{bar:24}}] {{n}} of {{total}} {_literal(what)}',
        f'{times}{_literal(after)}',
      )
    )
    self._done: int | None = None
    self._start = self._last_line = time.monotonic()
    self._bar: _Bar | None = None

  def reach(self, done: int) -> None:
    """Shows that so many are done, if it is news."""
    if done == self._done:
      return
    self._done = done
    if sys.stderr.isatty():
      if self._bar is None:
        self._bar = self._begun(done)
      self._bar.update(done - self._bar.n)
      return
    now = time.monotonic()
    if now - self._last_line >= self._log_secs or done >= self._total:
      self._last_line = now
      say(self._line(done, now - self._start))

  def note(self, message: str) -> None:
    """Prints a line of its own, above the bar."""
    if self._bar is not None:
      self._bar.clear()
    say(message)
    if self._bar is not None:
      self._bar.refresh()

  def close(self) -> None:
    """Ends the bar's line, so that the next begins one of its own."""
    if self._bar is not None:
      self._bar.close()

  def _begun(self, done: int) -> _Bar:
    return _Bar(
      total=self._total,
      initial=done,
      file=sys.stderr,
      ascii='.#',
      unit='',
      dynamic_ncols=True,
      bar_format=self._format,
      mininterval=0.1,
      miniters=1,
    )

  def _line(self, done: int, seconds: float) -> str:
    return tqdm.tqdm.format_meter(
      done, self._total, seconds, ascii='.#', unit='', bar_format=self._format
    )


def _literal(text: str) -> str:
  """A text that a format leaves as it is, whoever wrote it."""
  return quoted(text).replace('{', '{{').replace('}', '}}')
