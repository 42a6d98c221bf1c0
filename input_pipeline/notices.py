"""Lines for the person at the terminal."""

import sys


def say(message: str) -> None:
  """Prints one line to stderr, at once."""
  print(message, file=sys.stderr, flush=True)
