"""Ctrl-C and SIGTERM: noticed at once, obeyed where nothing is lost by it.

An exception raised from a signal handler may appear anywhere: in the middle
of an import, which then fails, or in a callback of the garbage collector,
which drops it. So handlers here only put down that a signal came. What
happens then depends on where the program is:

- outside every `Section` there is nothing to save: the process ends at once.
  Everything on disk is written so that a kill at any moment leaves it whole.
- inside one, the section's own code asks `requested` between its steps, saves,
  and raises `Interrupted`.
- a second signal ends the process at once, wherever it is.

A thread of its own ends the process, for handlers of Python wait until a call
into XLA returns, which may take minutes.

Imports nothing heavy: it is in place before anything else is loaded.
"""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

# Of a run that has saved what there is, or had nothing to save.
CONTINUE = 75

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# `timeout`, `srun` and other launchers pass on to their child what the child
# got from the terminal itself: one request, though two signals.
_ONE_REQUEST_SECS = 0.2


class Interrupted(Exception):
  """The run stopped early, saved, and can be continued: exit code 75."""


class Section:
  """A part of the program that a signal must not end anywhere.

  Use: `with Section() as section: ...`. In a program that has not called
  `watch` (a notebook, a test), signals are handled inside the block alone,
  and a second Ctrl-C raises KeyboardInterrupt.
  """

  def __init__(
    self, where: str | Callable[[], str] = '', *, has_work: bool = True
  ):
    """Does nothing yet.

    Args:
      where: what the program is doing, as in 'while evaluating', for the
        sentence of a process that is ended at once. A function is called
        then, from another thread.
      has_work: whether there is anything to lose from the start; else from
        `work_began` on.
    """
    self.where = where
    self.has_work = has_work
    self._previous: dict[signal.Signals, object] = {}

  def __enter__(self):
    _process.sections.append(self)
    # Handlers can only be set in the main thread; elsewhere (a notebook's
    # worker, say) the run simply cannot be interrupted this way.
    main = threading.current_thread() is threading.main_thread()
    if main and not _process.watched and len(_process.sections) == 1:
      for number in _SIGNALS:
        self._previous[number] = signal.signal(number, self._handle)
    return self

  def __exit__(self, *_) -> None:
    _process.sections.remove(self)
    for number, handler in self._previous.items():
      signal.signal(number, handler)
    if self._previous:
      self._previous.clear()
      _process.received = None

  def _handle(self, number: int, frame: FrameType | None) -> None:
    if _process.received is not None and number == signal.SIGINT:
      raise KeyboardInterrupt
    _process.note(number)

  def work_began(self) -> None:
    """From now on a signal waits until this section asks for it."""
    self.has_work = True


class Process:
  """What is known of the signals to a process, and what follows from them.

  Attributes:
    received: the first signal, once there was one.
    sections: those that the program is in, the innermost last.
    watched: whether a thread ends the process where that is right.
    joined: whether other processes wait for this one; its peers must then
      hear of the first signal in any case.
    beginning: what is said outside of all sections, until `begun`.
  """

  def __init__(self):
    self.received: signal.Signals | None = None
    self.sections: list[Section] = []
    self.watched = False
    self.joined = False
    self.beginning = ''
    self._waits = False
    self._first_secs: float | None = None

  def note(self, number: int) -> None:
    """Puts down a signal; the first one decides."""
    if self.received is None:
      self._waits = self.joined or any(s.has_work for s in self.sections)
      self.received = signal.Signals(number)

  def answer(self, number: int, now_secs: float) -> tuple[bool, str]:
    """What a signal leads to.

    Args:
      number: of the signal.
      now_secs: time of any clock that does not go back.

    Returns:
      Whether the process ends now, and a sentence to print; '' for a signal
      that repeats the one before it.
    """
    self.note(number)
    name = signal.Signals(number).name
    if self._first_secs is None:
      self._first_secs = now_secs
      if self._waits:
        return False, (
          f'{name}: the run stops as soon as nothing is lost by it; a second '
          'one stops it at once.'
        )
      return True, _again(f'Interrupted by {name}', ' ', self.where())
    if now_secs - self._first_secs < _ONE_REQUEST_SECS:
      return False, ''
    return True, _again(
      f'Stopped at once by a second {name}', ', ', self.where()
    )

  def where(self) -> str:
    """What the program is doing, or '' if nothing is known of it."""
    if not self.sections:
      return self.beginning
    where = self.sections[-1].where
    try:
      return where() if callable(where) else where
    # It runs beside the program, which may be changing what it reads.
    except Exception:
      return ''


_process = Process()


def _again(what: str, joint: str, where: str) -> str:
  where = joint + where if where else ''
  return f'{what}{where}: run the same command again to continue.'


def watch(beginning: str = '') -> None:
  """Lets this program end by the rules above; call it first of all.

  Args:
    beginning: what is said of a signal outside of all sections, as in 'before
      training'; nothing is said once `begun` was called.
  """
  _process.beginning = beginning
  _process.watched = True
  reader, writer = os.pipe()
  os.set_blocking(writer, False)
  # Signals that came while this program was restarted are still held back,
  # and the thread, which inherits that, is never chosen to take one.
  signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  threading.Thread(
    target=_watch, args=(reader,), name='signals', daemon=True
  ).start()
  signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
  take_signals()
  signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
  os.register_at_fork(after_in_child=_forget)


def take_signals() -> None:
  """Sets the handlers, again where a library has put its own in place."""
  if _process.watched:
    for number in _SIGNALS:
      signal.signal(number, lambda number, frame: _process.note(number))


@contextlib.contextmanager
def kept_from_children() -> Iterator[None]:
  """Processes that the block starts, and their threads, get no signals.

  Ctrl-C goes to all processes of a terminal and a scheduler's SIGTERM to all
  of a job, but only their parent knows what is to be saved.
  """
  from multiprocessing import resource_tracker

  # Else it starts with the first of them, and lets signals through again.
  resource_tracker.ensure_running()
  before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  try:
    yield
  finally:
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_with_parent(*_: object) -> None:
  """In a child: a killed parent, too, leaves nothing behind."""
  from multiprocessing import parent_process

  parent = parent_process()

  def watched() -> None:
    parent.join()
    os._exit(1)

  threading.Thread(target=watched, name='parent', daemon=True).start()


def hold_back() -> None:
  """Keeps signals for the program that this process is about to become."""
  if not _process.watched:
    return
  signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
  while _process.received is not None:
    time.sleep(1)  # One came before: the thread is ending the process.


def requested() -> signal.Signals | None:
  """The signal that this process has got, if any."""
  return _process.received


def check(doing: str) -> None:
  """Raises Interrupted if a signal came; for loops of one process.

  Args:
    doing: what is interrupted, as in 'while preparing data'.
  """
  if _process.received is not None:
    name = _process.received.name
    raise Interrupted(_again(f'Interrupted by {name}', ' ', doing))


def begun() -> None:
  """What `watch` was told of the beginning is no longer true."""
  _process.beginning = ''


def join() -> None:
  """Other processes wait for this one from now on."""
  _process.joined = True


def finished() -> None:
  """The exit code is known: nothing may change it while the program ends.

  Python takes its handlers away before its last steps, where a signal would
  then kill it. A process that still waits for others goes on listening.
  """
  if _process.watched and not _process.joined:
    for number in _SIGNALS:
      signal.signal(number, signal.SIG_IGN)


def leave(sentence: str, code: int = CONTINUE) -> None:
  """Ends the process now, from any thread, with a sentence.

  Nothing is unwound and nobody is waited for, as in a kill.

  Args:
    sentence: to print on stderr; '' where all is said.
    code: exit code.
  """
  _print(sentence)
  # Processes that read data would wait for this one for ever.
  processes = sys.modules.get('multiprocessing')
  for child in getattr(processes, 'active_children', tuple)():
    child.kill()
  os._exit(code)


def where() -> str:
  """What the program is doing; see `Section`."""
  return _process.where()


def _watch(reader: int) -> None:
  while True:
    for number in os.read(reader, 64):
      if number not in _SIGNALS:
        continue
      ends, sentence = _process.answer(number, time.monotonic())
      if ends:
        leave(sentence)
      _print(sentence)


def _print(sentence: str) -> None:
  """Past Python's buffers, which the main thread may be holding."""
  if sentence:
    with contextlib.suppress(OSError):
      os.write(2, (sentence + '\n').encode())


def _forget() -> None:
  """A forked child has no such thread, and must not write to its parent's."""
  signal.set_wakeup_fd(-1)
  signal.signal(signal.SIGINT, signal.default_int_handler)
  signal.signal(signal.SIGTERM, signal.SIG_DFL)
