"""The folder of one run: whose config it holds, and who is writing to it."""

import contextlib
import functools
import json
import os
import shutil
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from common_lib import locks
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.files import write_text
from fsnet_jax.config import fields
from fsnet_jax.config.fields import Field
from fsnet_jax.runtime import stored_config
from fsnet_jax.runtime.distributed import barrier
from fsnet_jax.runtime.storage import disk_errors
from fsnet_jax.runtime.stored_config import flatten

__all__ = [
  'check_still_there',
  'check_workdir',
  'flatten',
  'forget',
  'has_results',
  'open_finished',
  'open_workdir',
]

_LOCK = '.lock'
# Any of them is somebody's work, beside a committed checkpoint.
_RESULTS = {'metrics.json', 'cost.json', 'compare.json', 'ablation.md'}
# What a run that has saved nothing leaves behind, and another one would take
# for its own.
_TRACES = (
  'position.json',
  'seconds.json',
  'timings.jsonl',
  'fit.json',
  'cells',
  'cycles',
  'oracle',
  'pool',
)

# The lock file of each folder that this process writes to.
_claimed: dict[Path, os.stat_result] = {}


def has_results(workdir: Path, besides: str = '') -> bool:
  """Whether anything in a folder took work: a checkpoint, or what came of it.

  Args:
    workdir: of a run, or of many; need not exist.
    besides: name of a folder in it whose contents do not count.
  """
  for path, folders, files in os.walk(workdir):
    if Path(path).name == 'checkpoints':
      # One that is not committed yet has a longer name.
      if any(name.isdigit() for name in folders):
        return True
      folders.clear()
    if besides in folders:
      folders.remove(besides)
    if not _RESULTS.isdisjoint(files):
      return True
  return False


def check_still_there() -> None:
  """Raises UserError if a folder that this process claims was taken away.

  Saving would make it anew, without its config and its lock: half a run, and
  perhaps in the folder that another one has made in its place. Call it before
  anything is saved.
  """
  for workdir, lock in _claimed.items():
    try:
      same = os.path.samestat(os.stat(workdir / _LOCK), lock)
    except (FileNotFoundError, NotADirectoryError):
      same = False
    if not same:
      raise UserError(
        f'--workdir={workdir} has been deleted or replaced while this run '
        'wrote to it: nothing more is saved; run the command again to begin '
        'anew.'
      )


def _check_same_run(
  workdir: Path,
  config: Mapping[str, Any],
  mode: str,
  table: Mapping[str, Field],
) -> None:
  """Raises UserError unless a folder is of the run with this config."""
  stored = stored_config.read(workdir)
  changed = stored_config.differences(stored, config, mode, table)
  if changed:
    raise UserError(
      f"--workdir={workdir} holds another config's run: "
      f'{stored_config.in_words(changed)}: choose another --workdir or the '
      'same config; without --config it is the one stored there.'
    )


@functools.cache  # Once, for a comparison opens many folders.
def _note_no_locks(reason: str) -> None:
  say(
    f'note: the disk of --workdir has no file locks ({reason}): take care that '
    'no other run uses the folder meanwhile'
  )


def check_workdir(
  workdir: Path,
  config: ConfigDict,
  mode: str,
  table: Mapping[str, Field] = fields.FIELDS,
) -> None:
  """Finds what is wrong with a folder, before data are read for nothing.

  Args:
    workdir: of the command; nothing is made or changed there.
    config: the command's `ConfigDict`.
    mode: of the command.
    table: of the fields of such a config.

  Raises:
    UserError: the folder is of another config's run, or there is no run to
      look at.
  """
  stored, results = workdir / stored_config.FILE, has_results(workdir)
  # The folder that many runs are in is none of them.
  a_run = stored.exists() or (workdir / 'checkpoints').is_dir()
  if mode != 'train' and not (results and a_run):
    raise UserError(
      f'--mode={mode} found no checkpoint in --workdir={workdir}: train '
      'first, or name the folder of a run.'
    )
  if stored.exists() and (results or not _is_ours(workdir)):
    plain = stored_config.as_plain(config)
    _check_same_run(workdir, plain, mode, table)


def _is_ours(workdir: Path) -> bool:
  """Whether a `config.json` is of this program."""
  return stored_config.read(workdir).keys() >= {'image_size', 'data', 'eval'}


def _take_over(
  workdir: Path, config: ConfigDict, table: Mapping[str, Field]
) -> None:
  """Makes a folder this run's that is of another one, which saved nothing.

  A run that was refused, or diverged, before it saved anything owns nothing:
  the corrected command may have its folder.
  """
  if not (workdir / stored_config.FILE).exists() or has_results(workdir):
    return
  plain = stored_config.as_plain(config)
  stored = stored_config.read(workdir)
  if stored_config.differences(stored, plain, 'train', table):
    say(f'note: {workdir} is of a run that saved nothing: it is used for this')
    for name in _TRACES:
      forget(workdir / name)
    for events in workdir.glob('events.out.tfevents.*'):
      forget(events)


def forget(path: Path) -> None:
  """Deletes a file or a folder, if it is there."""
  if path.is_dir() and not path.is_symlink():
    shutil.rmtree(path)
  else:
    path.unlink(missing_ok=True)


@contextlib.contextmanager
def _exclusive(workdir: Path) -> Generator[None]:
  """Refuses a second program on the same folder."""
  with (workdir / _LOCK).open('w') as lock:
    try:
      free = locks.taken(lock)
    except locks.NoLocks as missing:
      free = True
      _note_no_locks(str(missing))
    if not free:
      raise UserError(
        f'--workdir={workdir} is in use by another run: wait for it or '
        'choose another --workdir.'
      )
    claim = workdir.absolute()
    _claimed[claim] = os.fstat(lock.fileno())
    try:
      yield
    except Exception:
      # What finds its folder gone fails in ways of its own.
      check_still_there()
      raise
    finally:
      del _claimed[claim]


@contextlib.contextmanager
def _writable(workdir: Path) -> Generator[None]:
  """Says in a sentence that a folder cannot be written."""
  try:
    yield
  except OSError as error:
    raise UserError(
      f'--workdir={workdir} cannot be written ({error.strerror}): choose '
      'another folder.'
    ) from None


@contextlib.contextmanager
def open_workdir(
  workdir: Path, config: ConfigDict, table: Mapping[str, Field] = fields.FIELDS
) -> Generator[None]:
  """Claims `workdir` for this run and stores its config there.

  Args:
    workdir: created if missing.
    config: the run's `ConfigDict`.
    table: of its fields.

  Raises:
    UserError: if the folder belongs to a run with another config, is in use
      or cannot be written; or, within the block, if its disk is full.
  """
  text = json.dumps(stored_config.as_plain(config), indent=2) + '\n'
  with contextlib.ExitStack() as stack:
    if jax.process_index() == 0:
      with _writable(workdir):
        workdir.mkdir(parents=True, exist_ok=True)
        stack.enter_context(_exclusive(workdir))
        check_workdir(workdir, config, 'train', table)
        _take_over(workdir, config, table)
        write_text(workdir / stored_config.FILE, text)
    barrier('workdir')
    stack.enter_context(disk_errors.explained(workdir))
    yield


@contextlib.contextmanager
def open_finished(
  workdir: Path,
  config: ConfigDict,
  mode: str,
  table: Mapping[str, Field] = fields.FIELDS,
) -> Generator[None]:
  """Claims the folder of a run for a look at it; its config stays as it is.

  Args:
    workdir: of the run.
    config: the command's `ConfigDict`.
    mode: of the command, not `train`.
    table: of the fields of such a config.

  Raises:
    UserError: if nothing was trained there, or with another config, or the
      folder is in use or cannot be written.
  """
  with contextlib.ExitStack() as stack:
    if jax.process_index() == 0:
      check_workdir(workdir, config, mode, table)
      with _writable(workdir):
        stack.enter_context(_exclusive(workdir))
    barrier('workdir')
    stack.enter_context(disk_errors.explained(workdir))
    yield
