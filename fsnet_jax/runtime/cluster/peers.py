"""Processes of one command that share its work, but not its steps.

None waits for another one in its compiled programs, as collectives would make
it. What they tell each other goes through the coordination service of JAX,
which any of them may ask at any time: who is done with what, and who has ended
and why, so that the others end, too.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import time
from collections.abc import Generator
from typing import Any, Protocol, runtime_checkable

import jax

from common_lib import interrupts
from common_lib.errors import UserError
from common_lib.interrupts import Interrupted

# How often a process that works asks whether another one has ended.
_LOOK_SECS = 1.0
# Between two looks of a process that waits: at first, and at most.
_FIRST_NAP_SECS, _LONGEST_NAP_SECS = 0.02, 1.0
_LEFT = 'left'
_STOPPED, _REFUSED, _FAILED = 'stopped', 'refused', 'failed'
# Of the commands of this process, so that no two use the same names; all
# processes begin them in the same order.
_numbers = itertools.count()


@runtime_checkable
class Notes(Protocol):
  """What processes leave for each other; in a test, a dictionary."""

  def write(self, name: str, value: str) -> None:
    """Leaves a note that every process can read; never the same name twice."""
    ...

  def read(self, folder: str) -> dict[str, str]:
    """The notes whose names are `folder/...`, by what follows the slash."""
    ...


class OfAnother(UserError):
  """What another process had to say before it ended."""


class Peers:
  """The processes of a command, as one of them sees the others.

  Attributes:
    index: number of this one, from 0.
    count: how many there are.
  """

  def __init__(
    self, index: int = 0, count: int = 1, notes: Notes | None = None
  ):
    """Takes the place of this process; notes are needed by several alone."""
    self.index, self.count = index, count
    self._notes = notes
    self._last_look = time.monotonic()

  @property
  def name(self) -> str:
    """What lines of this process begin with; '' where there is no other."""
    return f'process {self.index}: ' if self.count > 1 else ''

  def stopped(self) -> bool:
    """Whether this process has got a signal, or another one that has ended.

    Cheap: the others are asked once a second.

    Raises:
      OfAnother: another process has failed.
    """
    if interrupts.requested() is not None:
      return True
    now = time.monotonic()
    if now - self._last_look < _LOOK_SECS:
      return False
    self._last_look = now
    return self._others_stopped()

  def exchanged(self, name: str, value: str = '') -> list[str]:
    """Waits until every process is here; what each has brought, by its number.

    Args:
      name: of the place; each is for one use.
      value: that the others shall know.

    Raises:
      OfAnother: another process has failed.
      Interrupted: one was stopped.
    """
    if self._notes is None:
      return [value]
    self._notes.write(f'{name}/{self.index}', value)
    nap = _FIRST_NAP_SECS
    while len(found := self._notes.read(name)) < self.count:
      if interrupts.requested() is not None or self._others_stopped():
        raise self._interrupted()
      time.sleep(nap)
      nap = min(2 * nap, _LONGEST_NAP_SECS)
    # Of those that were here, one may have been stopped while it waited.
    if self._others_stopped():
      raise self._interrupted()
    return [found[str(index)] for index in range(self.count)]

  def _interrupted(self) -> Interrupted:
    received = interrupts.requested()
    by = received.name if received else 'a signal to a peer'
    return Interrupted(
      f'Interrupted by {by} while waiting for the other processes: run the '
      'same command again to continue.'
    )

  @contextlib.contextmanager
  def told(self) -> Generator[None]:
    """Around all that they do together: tells the others if it fails here."""
    try:
      yield
    except BaseException as error:
      self._tell(error)
      raise

  def _tell(self, error: BaseException) -> None:
    # What another one has told is not told as this one's.
    if self._notes is None or isinstance(error, OfAnother):
      return
    kind = _FAILED
    if isinstance(error, UserError):
      kind = _REFUSED
    elif isinstance(error, Interrupted | KeyboardInterrupt):
      kind = _STOPPED
    sentence = str(error) if kind == _REFUSED else ''
    with contextlib.suppress(Exception):  # The service may be what is gone.
      self._notes.write(f'{_LEFT}/{self.index}', json.dumps([kind, sentence]))

  def _others_stopped(self) -> bool:
    """As `stopped`, of the others, who are asked now."""
    if self._notes is None:
      return False
    left = self._notes.read(_LEFT)
    told = {int(index): json.loads(value) for index, value in left.items()}
    for index, (kind, sentence) in sorted(told.items()):
      if kind == _REFUSED:
        raise OfAnother(f'Process {index} has ended: {sentence}')
      if kind == _FAILED:
        raise OfAnother(
          f'Process {index} has failed: look at what it printed, and run the '
          'same command again on all.'
        )
    return bool(told)


ALONE = Peers()


@contextlib.contextmanager
def together() -> Generator[Peers]:
  """The processes that run this block; one that fails in it ends the others.

  They end where they next ask (`Peers.stopped`, `Peers.exchanged`). All of them
  have to come here the same number of times.
  """
  peers = Peers()
  if jax.process_count() > 1:
    notes = _Service(f'fsnet_jax/{next(_numbers)}')
    peers = Peers(jax.process_index(), jax.process_count(), notes)
  with peers.told():
    yield peers


class _Service:
  """Notes at the coordination service of JAX, which process 0 keeps."""

  def __init__(self, folder: str):
    self._folder = folder

  def write(self, name: str, value: str) -> None:
    """See `Notes`."""
    self._client().key_value_set(f'{self._folder}/{name}', value)

  def read(self, folder: str) -> dict[str, str]:
    """See `Notes`."""
    start = f'{self._folder}/{folder}/'
    found = self._client().key_value_dir_get(start)
    return {name.removeprefix(start): value for name, value in found}

  def _client(self) -> Any:
    from jax._src import distributed

    client = distributed.global_state.client
    assert client is not None  # There are several processes.
    return client
