"""Lines for the person at the terminal."""

import sys

from common_lib.foreign import without_controls

_LONGEST = 20_000


def say(message: str) -> None:
  """Prints a line, or a table of lines, to stderr, at once.

  Args:
    message: what to print; control characters of what it quotes are taken out.
  """
  print(
    without_controls(message, _LONGEST, keep_lines=True),
    file=sys.stderr,
    flush=True,
  )


def show(table: str) -> None:
  """Prints a result to stdout.

  Args:
    table: what to print, whatever its length; control characters of the names
      in it are taken out.
  """
  print(without_controls(table, len(table), keep_lines=True), flush=True)
