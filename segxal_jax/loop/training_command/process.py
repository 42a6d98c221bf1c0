"""Runs a command of a user's own: its output line by line, and its signals."""

import collections
import contextlib
import dataclasses
import io
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence

from common_lib import interrupts
from common_lib.errors import UserError
from common_lib.foreign import quoted

_KEPT_LINES = 20
_LONGEST_LINE = 2000
_NAP_SECS = 0.1
# After a signal; training that saves what it has may take so long.
_GRACE_SECS = 30.0
# After its end, of a process that it left behind and that holds its output.
_DRAIN_SECS = 2.0


@dataclasses.dataclass(frozen=True)
class Ended:
  """How a command ended.

  Attributes:
    code: its exit code, negative for a signal.
    lines: the last that it said.
  """

  code: int
  lines: tuple[str, ...]

  @property
  def how(self) -> str:
    """In words."""
    if self.code >= 0:
      return f'exit code {self.code}'
    try:
      return signal.Signals(-self.code).name
    except ValueError:
      return f'signal {-self.code}'


def run(
  words: Sequence[str],
  tell: Callable[[str], None],
  grace_secs: float = _GRACE_SECS,
) -> Ended:
  """Runs a command to its end, without a shell and without input.

  It is a group of processes of its own. A signal to this program is passed on
  to all of the group; whoever is still there after a while is killed.

  Args:
    words: of the command.
    tell: gets each line of its output as it comes, errors included; called in
      a thread.
    grace_secs: from the signal to the kill.

  Raises:
    UserError: it cannot be started.
  """
  try:
    process = subprocess.Popen(
      words,
      stdin=subprocess.DEVNULL,
      stdout=subprocess.PIPE,
      stderr=subprocess.STDOUT,
      # Lines of Python's print are to come as they are printed.
      env=os.environ | {'PYTHONUNBUFFERED': '1'},
      text=True,
      encoding='utf-8',
      errors='replace',
      start_new_session=True,
    )
  except (OSError, ValueError) as error:
    reason = getattr(error, 'strerror', None) or error
    raise UserError(
      f'config.learner.command cannot be started: {quoted(words[0], 120)} '
      f'({reason}): give a program that can be run.'
    ) from error
  assert process.stdout is not None  # It was asked for.
  kept: collections.deque[str] = collections.deque(maxlen=_KEPT_LINES)
  reader = threading.Thread(
    target=_read, args=(process.stdout, kept, tell), daemon=True
  )
  reader.start()
  try:
    code = _wait(process, grace_secs)
  finally:
    if process.poll() is None:
      _send(process, signal.SIGKILL)
      process.wait()
  reader.join(_DRAIN_SECS)
  return Ended(code, tuple(kept))


def _read(
  output: io.TextIOBase,
  kept: collections.deque[str],
  tell: Callable[[str], None],
) -> None:
  # A progress bar's carriage returns end lines too; one without any end is
  # told in pieces.
  with output:
    while line := output.readline(_LONGEST_LINE):
      kept.append(line.rstrip())
      tell(line.rstrip())


def _wait(process: subprocess.Popen[str], grace_secs: float) -> int:
  """Waits for the end; passes on the first signal."""
  until = None
  while True:
    with contextlib.suppress(subprocess.TimeoutExpired):
      return process.wait(_NAP_SECS)
    received = interrupts.requested()
    if received is not None and until is None:
      _send(process, received)
      until = time.monotonic() + grace_secs
    elif until is not None and time.monotonic() > until:
      _send(process, signal.SIGKILL)


def _send(process: subprocess.Popen[str], number: signal.Signals) -> None:
  with contextlib.suppress(ProcessLookupError):
    os.killpg(process.pid, number)
