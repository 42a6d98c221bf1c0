"""What a prediction has done so far, so that a killed one goes on there.

The journal has a line an image, appended once all of the image's files are
written. A line carries its checksum, and the sizes of the files: what was
half written when the program was killed is done again.

Of several processes each has a journal of its own. The first process takes
them into its own, at the end, and at the beginning those of a command that was
killed: what a command finds is one journal, however many had written it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pathlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import IO, Any

from common_lib import checksums, locks
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor.predict.inputs import Item
from fsnet_jax.monitor.predict.rows import COLUMNS, Entry

FOLDER = 'state'
_STATE, _JOURNAL, _LOCK = 'state.json', 'journal.jsonl', '.lock'
_SHARE = 'journal.{}.jsonl'
_SCHEMA = 1
_FIX = 'choose another --output, or delete this one'
_FIELDS = {field.name for field in dataclasses.fields(Entry)}


class Journal:
  """The entries of a folder of predictions, on disk; few bytes in memory."""

  def __init__(
    self,
    output: pathlib.Path,
    file: IO[bytes],
    before: Journal | None = None,
  ):
    """Reads what there is.

    Args:
      output: the folder.
      file: the journal, open for reading, and for appending unless it is only
        looked at.
      before: entries that are older than all of these.
    """
    self._output, self._file, self._before = output, file, before
    self._places: dict[str, int] = {}
    place = 0
    file.seek(0)
    for line in file:
      entry = _entry(line)
      if entry is not None:
        self._places[entry.row['image']] = place
      place += len(line)
    if place and not line.endswith(b'\n') and file.writable():
      file.write(b'\n')  # So that the next line is one.

  def get(self, item: Item) -> Entry | None:
    """What was done of an image, if it still is what it was.

    None where its file, its name or what was written of it has changed, and
    where it had a problem: that may be gone.
    """
    entry = self.last(item.image)
    if entry is None or entry.problem or not entry.is_of(item):
      return None
    for file, size in entry.files.items():
      try:
        if os.stat(self._output / file).st_size != size:
          return None
      except OSError:
        return None
    return entry

  def last(self, image: str) -> Entry | None:
    """The last entry of an image, by its name."""
    place = self._places.get(image)
    if place is None:
      return self._before.last(image) if self._before else None
    self._file.seek(place)
    return _entry(self._file.readline())

  def entries(self, images: Iterable[str]) -> Iterator[Entry]:
    """The entries of images that have one, read one after the other."""
    for image in images:
      entry = self.last(image)
      if entry is not None:
        yield entry

  def append(self, entry: Entry) -> None:
    """Adds an image, all of whose files are written."""
    value = dict(vars(entry))  # `asdict` copies each number of each region.
    line = json.dumps({**value, checksums.FIELD: checksums.of_value(value)})
    place = self._file.seek(0, os.SEEK_END)
    self._file.write(line.encode('ascii') + b'\n')
    self._file.flush()
    self._places[entry.row['image']] = place

  def close(self) -> None:
    """Everything is on the disk, for other processes to see."""
    os.fsync(self._file.fileno())
    self._file.close()

  def take_in(self) -> int:
    """Adds the entries of other processes' journals, which are then removed.

    Returns:
      The number of images that are new or have changed by it.
    """
    added = 0
    for path in _shares(self._output):
      with path.open('rb') as file:
        for line in file:
          entry = _entry(line)
          if entry is not None and self.last(entry.row['image']) != entry:
            self.append(entry)
            added += 1
      os.fsync(self._file.fileno())
      path.unlink()
    return added


def _shares(output: pathlib.Path) -> list[pathlib.Path]:
  """The journals of all processes but the first."""
  return sorted((output / FOLDER).glob(_SHARE.format('*')))


def _entry(line: bytes) -> Entry | None:
  """An entry, or None of a line that is damaged."""
  try:
    value = json.loads(line)
    stored = value.pop(checksums.FIELD)
    if stored != checksums.of_value(value) or value.keys() != _FIELDS:
      return None
    entry = Entry(**value)
    return entry if set(entry.row) == set(COLUMNS) else None
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
    return None


@contextlib.contextmanager
def opened(
  output: pathlib.Path, state: Mapping[str, Any]
) -> Generator[Journal]:
  """Claims a folder for a prediction; of several processes, for the first.

  Args:
    output: created if missing.
    state: what decides the files in it, in words that a message can quote;
      JSON values.

  Raises:
    UserError: the folder holds something else, is in use, or cannot be
      written.
  """
  folder = output / FOLDER
  with contextlib.ExitStack() as stack:
    try:
      _check_free(output)
      folder.mkdir(parents=True, exist_ok=True)
      _claim(output, stack)
      _check_state(output, state)
      for path in _shares(output):
        # Its process may have outlived the first one of its command.
        with path.open('rb') as share, contextlib.suppress(locks.NoLocks):
          _lock(output, share)
      file = stack.enter_context((folder / _JOURNAL).open('a+b'))
    except OSError as error:
      raise _not_writable(output, error) from None
    log = Journal(output, file)
    log.take_in()
    yield log


@contextlib.contextmanager
def opened_share(
  output: pathlib.Path, state: Mapping[str, Any], index: int
) -> Generator[Journal]:
  """The journal of a process that is not the first.

  Args:
    output: the folder, which the first process has claimed.
    state: as `opened` has it.
    index: number of the process, from 1.

  Raises:
    UserError: this process does not see that folder, or cannot write there.
  """
  folder = output / FOLDER
  if not (folder / _STATE).exists():
    raise UserError(
      f'--output={output} is another folder for process {index} than for the '
      'first: name one on a disk that all processes share.'
    )
  _check_state(output, state)
  with contextlib.ExitStack() as stack:
    try:
      own = stack.enter_context((folder / _SHARE.format(index)).open('a+b'))
      done = stack.enter_context((folder / _JOURNAL).open('rb'))
    except OSError as error:
      raise _not_writable(output, error) from None
    with contextlib.suppress(locks.NoLocks):
      _lock(output, own)
    yield Journal(output, own, Journal(output, done))


def _not_writable(output: pathlib.Path, error: OSError) -> UserError:
  return UserError(
    f'--output={output} cannot be written ({error.strerror}): choose another '
    'folder.'
  )


def _check_free(output: pathlib.Path) -> None:
  """Raises UserError for a folder with something else in it."""
  if not output.exists() or (output / FOLDER / _STATE).exists():
    return
  if not output.is_dir():
    raise UserError(f'--output={output} is a file: name a folder.')
  names = [path.name for path in output.iterdir() if path.name != FOLDER]
  if names:
    raise UserError(
      f'--output={output} holds other files ({quoted(min(names), 80)} among '
      'them): choose an empty or new folder.'
    )


def _claim(output: pathlib.Path, stack: contextlib.ExitStack) -> None:
  """Refuses a second program on the same folder."""
  lock = stack.enter_context((output / FOLDER / _LOCK).open('w'))
  try:
    _lock(output, lock)
  except locks.NoLocks:
    say(f'note: the disk of {output} has no file locks')


def _lock(output: pathlib.Path, file: IO[bytes] | IO[str]) -> None:
  """Raises UserError where another program holds a file of the folder."""
  if not locks.taken(file):
    raise UserError(
      f'--output={output} is in use by another prediction: wait for it, or '
      'choose another folder.'
    )


def _check_state(output: pathlib.Path, state: Mapping[str, Any]) -> None:
  """Stores what decides the files, or raises UserError for another's."""
  path = output / FOLDER / _STATE
  wanted = json.loads(json.dumps({'schema': _SCHEMA, **state}))
  if not path.exists():
    checksums.write_json(path, wanted)
    return
  stored = checksums.read_json(path, what='the state of predictions', fix=_FIX)
  for name, value in wanted.items():
    if stored.get(name) != value:
      was, now = quoted(stored.get(name), 80), quoted(value, 80)
      raise UserError(
        f'--output={output} holds predictions of another command: its {name} '
        f'was {was} and is now {now}: {_FIX}.'
      )
