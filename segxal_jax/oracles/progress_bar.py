"""How far people are, for the person who waits for them."""

import sys

from common_lib.console import say

_CELLS = 24


class Bar:
  """A bar that grows on a terminal, and a line for each change in a log."""

  def __init__(self, total: int, where: str):
    """Takes how many answers are wanted, and where, as ' at ...' or ''."""
    self._total, self._where = total, where
    self._shown: int | None = None

  def show(self, done: int) -> None:
    """Draws the bar anew if it has changed."""
    if done == self._shown:
      return
    self._shown = done
    filled = _CELLS * done // max(1, self._total)
    bar = '#' * filled + '.' * (_CELLS - filled)
    line = f'[{bar}] {done} of {self._total} annotations{self._where}'
    if sys.stderr.isatty():
      print(f'\r{line}', end='', file=sys.stderr, flush=True)
    else:
      say(line)

  def close(self) -> None:
    """Ends the line."""
    if self._shown is not None and sys.stderr.isatty():
      say('')
