"""Prepared copies on disk: written once, locked, opened for random access."""

from __future__ import annotations

import bisect
import contextlib
import errno
import json
import logging as standard_logging
import operator
import os
import pathlib
import shutil
import time
from collections.abc import Generator
from typing import Any, Protocol, runtime_checkable

import tensorflow_datasets as tfds
from absl import logging
from tensorflow_datasets.core import constants as tfds_constants

from common_lib import interrupts, locks
from common_lib.console import say
from common_lib.errors import UserError
from input_pipeline.datasets import preparation
from input_pipeline.files import checksums

SKIPPED_FILE = 'skipped.json'
# Between two looks at a lock that another process holds.
_NAP_SECS = 0.5
_DISK_ERRORS = (
  errno.EACCES,
  errno.EPERM,
  errno.EROFS,
  errno.ENOSPC,
  errno.EDQUOT,
  errno.EFBIG,
  errno.EIO,
  errno.ESTALE,
  errno.ENOTDIR,
  errno.EEXIST,
  errno.ELOOP,
  errno.ENAMETOOLONG,
)


def prepare(builder: tfds.core.DatasetBuilder) -> pathlib.Path:
  """Writes the builder's copy unless it is there.

  The copy is written to a temporary folder and renamed when it is complete and
  has its checksums, so a copy that exists is whole. What a killed preparation
  left behind is removed by the next one. Of several processes that start at
  once on a shared disk, one writes and the others wait.

  Args:
    builder: a builder whose config name identifies the content.

  Returns:
    The copy's folder.

  Raises:
    UserError: a damaged file, or a `cache_dir` that cannot be written.
  """
  folder = pathlib.Path(builder.data_dir).absolute()
  if checksums.has_copy(folder):
    return folder
  total = sum(len(group) for group in builder.builder_config.scenes.values())
  with _disk_errors(folder), _lock(folder.parent) as locked:
    if checksums.has_copy(folder):  # another process wrote it while we waited
      return folder
    if locked:  # else they may be what another process is writing
      _remove_leftovers(folder.parent)
    say(f'preparing {total} scenes, once, in {folder}')
    try:
      _write(builder, folder)
    except OSError:
      if locked or not folder.exists():
        raise
      # Without locks, another process was faster.
  skipped = _skipped(folder)
  if skipped:
    say(
      f'left out {len(skipped)} of {total} scenes; '
      f'{folder / SKIPPED_FILE} lists them'
    )
  return folder


def _remove_leftovers(home: pathlib.Path) -> None:
  """Deletes what killed preparations left in the folder of a data set."""
  for leftover in home.glob(f'{tfds_constants.INCOMPLETE_PREFIX}*'):
    say(f'removing the unfinished copy {leftover}')
    shutil.rmtree(leftover)


def _write(builder: tfds.core.DatasetBuilder, folder: pathlib.Path) -> None:
  """Writes a copy; a signal removes what there is of it."""
  # TFDS makes this folder in any case; nothing is downloaded to it.
  downloads = folder.parent / f'{tfds_constants.INCOMPLETE_PREFIX}downloads'
  try:
    with interrupts.Section(preparation.DOING), quiet_tfds():
      builder.download_and_prepare(
        download_dir=downloads,
        download_config=tfds.download.DownloadConfig(try_download_gcs=False),
        file_format='array_record',
      )
  finally:
    shutil.rmtree(downloads, ignore_errors=True)


@contextlib.contextmanager
def _lock(folder: pathlib.Path) -> Generator[bool]:
  """Holds the exclusive lock of a folder; a killed holder releases it.

  Yields:
    Whether it is held; a disk without locks cannot keep others out.
  """
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / 'lock').open('w') as file:
    try:
      if not locks.taken(file):
        say(f'waiting for another process that prepares {folder}')
        while not locks.taken(file):
          interrupts.check(preparation.DOING)
          time.sleep(_NAP_SECS)
      held = True
    except locks.NoLocks as missing:
      held = False
      say(
        f'note: the disk of {folder} has no file locks ({missing}): if several '
        'processes prepare this data at once, each writes a copy and the '
        'first one stays'
      )
    # The file stays: removing it would let a third process lock a new one.
    yield held


@contextlib.contextmanager
def _disk_errors(folder: pathlib.Path) -> Generator[None]:
  """Turns a full or protected disk into a `UserError`."""
  try:
    yield
  # ArrayRecord's writer raises RuntimeError, with the system's words in it.
  except (OSError, RuntimeError) as error:
    reason = _disk_problem(error, folder)
    if reason is None:
      raise
    raise UserError(
      f'cannot write the prepared data to {folder} ({reason}); set'
      ' data.cache_dir to a folder with space that you may write to'
    ) from error


def _disk_problem(
  error: OSError | RuntimeError, folder: pathlib.Path
) -> str | None:
  """What is wrong with the disk, if that is what the error is about."""
  if isinstance(error, OSError):
    # A missing file may as well be one that a data set's own code looks for.
    above = folder.is_relative_to(str(error.filename or folder / 'none'))
    number = error.errno
    missing = number == errno.ENOENT and above
    if number is not None and (number in _DISK_ERRORS or missing):
      return os.strerror(number)
    return None
  words = [os.strerror(number) for number in _DISK_ERRORS]
  return next((reason for reason in words if reason in str(error)), None)


@contextlib.contextmanager
def quiet_tfds() -> Generator[None]:
  """Hides TFDS's progress bars and its notes on each file it opens."""

  def keep(record):
    inside = 'tensorflow_datasets' in record.pathname
    return not inside or record.levelno > standard_logging.INFO

  tfds.disable_progress_bar()  # the lines of `preparation` tell more
  logger = logging.get_absl_logger()
  logger.addFilter(keep)
  try:
    yield
  finally:
    logger.removeFilter(keep)


class CheckedInfo(tfds.core.DatasetInfo):
  """What TFDS writes last, before it renames the folder; checksums are later.

  Builders whose `_info` returns it have copies with checksums.
  """

  def initialize_from_bucket(self) -> None:
    """Asks nobody: TFDS would look for the data set in its own public bucket.

    No copy of these lies there, and each question would leave an empty folder
    in the system's folder of temporary files.
    """

  def write_to_directory(self, *args: Any, **kwargs: Any) -> None:
    """Completes the folder."""
    super().write_to_directory(*args, **kwargs)
    folder = args[0] if args else kwargs['dataset_info_dir']
    checksums.write(pathlib.Path(folder))


class PreparedSource:
  """The scenes of one or more prepared splits; see `base.Source`.

  It pickles as a list of folders, so that loader processes open the files
  themselves.
  """

  def __init__(self, parts: tuple[tuple[str, tuple[str, ...]], ...]):
    """Opens the files.

    Args:
      parts: (folder of a copy, TFDS splits wanted of it), in order. A split
        that the copy lacks had no intact scene.

    Raises:
      UserError: no intact scene at all, or a copy that is damaged.
    """
    self._parts = parts
    self._readers = []
    self._folders = []  # of each reader
    for folder in self.folders:
      checksums.check(pathlib.Path(folder))
    with quiet_tfds():
      for folder, splits in parts:
        builder = tfds.builder_from_directory(folder)
        for split in splits:
          if split in builder.info.splits:
            self._readers.append(builder.as_data_source(split=split))
            self._folders.append(folder)
    if not self._readers:
      raise UserError(
        f'every scene of {parts} was skipped because of damaged files; see'
        f' {SKIPPED_FILE} there'
      )
    self._ends = []
    for reader in self._readers:
      self._ends.append(len(reader) + (self._ends[-1] if self._ends else 0))

  @property
  def folders(self) -> tuple[str, ...]:
    """The folders of the copies that this source reads."""
    return tuple(folder for folder, _ in self._parts)

  def __len__(self) -> int:
    return self._ends[-1]

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < len(self):
      raise IndexError(f'scene {index} of {len(self)}')
    part = bisect.bisect_right(self._ends, index)
    start = self._ends[part - 1] if part else 0
    scene = self._read(part, operator.index(index) - start)
    for key in ('id', 'sequence'):
      scene[key] = scene[key].decode()
    return scene

  def _read(self, part: int, index: int) -> dict[str, Any]:
    folder = pathlib.Path(self._folders[part])
    # The scene is there, or the copy would not have opened.
    with checksums.damage(folder, f'scene {index}: '):
      return dict(self._readers[part][index])

  def __reduce__(self):
    return PreparedSource, (self._parts,)

  def __repr__(self) -> str:
    return f'PreparedSource({self._parts!r})'


@runtime_checkable
class ReadsCopies(Protocol):
  """A source that reads prepared copies, itself or through another one."""

  @property
  def folders(self) -> tuple[str, ...]:
    """The folders of the copies."""
    ...


def skipped_files(source: ReadsCopies) -> list[dict[str, str]]:
  """Lists the scenes that preparation left out (`on_error='skip'`).

  Args:
    source: an opened source.

  Returns:
    {'id', 'split', 'reason'} for each; the reason starts with the file's name.
    Scenes of the same copies that the source leaves aside are included.
  """
  return [
    scene
    for folder in source.folders
    for scene in _skipped(pathlib.Path(folder))
  ]


def _skipped(folder: pathlib.Path) -> list[dict[str, str]]:
  """Reads a copy's list of skipped scenes."""
  return json.loads((folder / SKIPPED_FILE).read_text())
