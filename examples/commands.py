"""What the commands of this folder share: flags, and mistakes as sentences."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from common_lib.console import say
from common_lib.errors import UserError


def run(main: Callable[[], None]) -> None:
  """Runs a command; a user's mistake is one sentence and exit code 2."""
  try:
    main()
  except UserError as error:
    say(f'error: {error}')
    sys.exit(2)


def size(text: str) -> tuple[int, int]:
  """A flag 'H,W': height and width in pixels, both divisible by 8.

  Raises:
    argparse.ArgumentTypeError: it is none.
  """
  try:
    height, width = (int(part) for part in text.split(','))
  except ValueError:
    height = width = 0
  if min(height, width) < 8 or height % 8 or width % 8:
    raise argparse.ArgumentTypeError(
      f'{text!r} is no height,width divisible by 8: give for example 64,128'
    )
  return height, width


def count(text: str) -> int:
  """A flag that is a whole number of at least 1.

  Raises:
    argparse.ArgumentTypeError: it is none.
  """
  try:
    number = int(text)
  except ValueError:
    number = 0
  if number < 1:
    raise argparse.ArgumentTypeError(f'{text!r} is no whole number above 0')
  return number
