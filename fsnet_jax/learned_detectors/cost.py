"""What a detector costs to train, kept over interruptions."""

import contextlib
import dataclasses
import json
import threading
import time
from collections.abc import Generator
from pathlib import Path

import jax

from common_lib import json_values
from common_lib.errors import UserError
from common_lib.files import read_json, write_text

_FILE = 'cost.json'
_SECONDS_FILE = 'seconds.json'
_TICK_SECS = 5.0


@dataclasses.dataclass(frozen=True)
class Cost:
  """What it took to train a detector, beyond the frozen S.

  Attributes:
    trainings_of_s: further networks S that had to be trained.
    seconds: wall time over all commands, with compilation, and with work
      that a killed command had to do twice.
    images: images that went through a training step, each time counted.
  """

  trainings_of_s: int = 0
  seconds: float = 0.0
  images: int = 0

  def __add__(self, other: 'Cost') -> 'Cost':
    """Both together."""
    return Cost(
      self.trainings_of_s + other.trainings_of_s,
      self.seconds + other.seconds,
      self.images + other.images,
    )

  def write(self, folder: Path) -> None:
    """Leaves `cost.json`, the sign that a fit is finished."""
    if jax.process_index() == 0:
      text = json.dumps(dataclasses.asdict(self), indent=2) + '\n'
      write_text(folder / _FILE, text)


def read(folder: Path) -> Cost | None:
  """The cost of a finished fit, or None if it is not finished.

  Nor is one whose file is damaged: its command finds it trained, and writes
  the file again.
  """
  try:
    stored = read_json(folder / _FILE, what='a cost', fix='fit again')
    json_values.fields(
      stored, 'a cost', ('trainings_of_s', 'seconds', 'images')
    )
    return Cost(
      json_values.whole_number(stored['trainings_of_s'], 'trainings_of_s'),
      float(json_values.number(stored['seconds'], 'seconds')),
      json_values.whole_number(stored['images'], 'images'),
    )
  except (UserError, json_values.BadValue):
    return None


class Stopwatch:
  """Wall time spent on a folder by all commands together."""

  def __init__(self, folder: Path):
    """Goes on from what `folder` has on record."""
    self._path = folder / _SECONDS_FILE
    self._before = _stored_seconds(self._path)
    self._start = time.monotonic()

  @property
  def seconds(self) -> float:
    """So far."""
    return self._before + time.monotonic() - self._start

  def save(self) -> None:
    """Puts the time so far on record, while there is a folder for it."""
    if jax.process_index() == 0:
      with contextlib.suppress(FileNotFoundError):
        write_text(self._path, json.dumps(self.seconds))


def _stored_seconds(path: Path) -> float:
  try:
    stored = read_json(path, what='a time', fix='fit again')
    return float(json_values.number(stored, 'seconds'))
  except (UserError, json_values.BadValue):
    return 0.0


@contextlib.contextmanager
def running(folder: Path) -> Generator[Stopwatch]:
  """A stopwatch that a killed command loses a few seconds of at most.

  Args:
    folder: exists already.
  """
  watch = Stopwatch(folder)
  over = threading.Event()

  def tick() -> None:
    while not over.wait(_TICK_SECS):
      watch.save()

  thread = threading.Thread(target=tick, daemon=True)
  thread.start()
  try:
    yield watch
  finally:
    over.set()
    thread.join()
    watch.save()
