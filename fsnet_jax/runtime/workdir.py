"""The folder of one run: whose config it holds, and who is writing to it."""

import contextlib
import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax

from common_lib import locks
from common_lib.console import say
from common_lib.errors import UserError
from common_lib.files import write_text
from fsnet_jax.runtime.distributed import barrier

# What may change between two commands on one run: these fields do not enter
# the training.
_FREE = (
  'ablation.',
  'eval.',
  'fit.',
  'data.root',
  'data.cache_dir',
  'data.num_workers',
  'log_every_steps',
  'compilation_cache_dir',
  'oracle.wait',
  'oracle.poll_secs',
  'oracle.recorded',
)


def flatten(tree: Any, prefix: str = '') -> dict[str, Any]:
  """Nested dicts as one, with dotted keys."""
  flat = {}
  for key, value in tree.items():
    if isinstance(value, dict):
      flat.update(flatten(value, f'{prefix}{key}.'))
    else:
      flat[prefix + key] = value
  return flat


def _as_plain(config: Any) -> dict[str, Any]:
  """The config as JSON gives it back: tuples become lists."""
  return json.loads(json.dumps(config.to_dict()))


def _check_same_run(path: Path, config: dict[str, Any]) -> None:
  try:
    stored = flatten(json.loads(path.read_text()))
  except ValueError as error:
    raise UserError(
      f'{path} cannot be read ({error}): choose another --workdir or delete '
      'this one.'
    ) from None
  present = flatten(config)
  changed = [
    f'{key} was {stored.get(key)!r} and is now {present.get(key)!r}'
    for key in sorted(stored.keys() | present.keys())
    if stored.get(key) != present.get(key) and not key.startswith(_FREE)
  ]
  if changed:
    more = f' (and {len(changed) - 3} more)' if len(changed) > 3 else ''
    raise UserError(
      f"--workdir={path.parent} holds another config's run: "
      f'{"; ".join(changed[:3])}{more}: choose another --workdir or the same '
      'config.'
    )


@functools.cache  # Once, for a comparison opens many folders.
def _note_no_locks(reason: str) -> None:
  say(
    f'note: the disk of --workdir has no file locks ({reason}): take care that '
    'no other run uses the folder meanwhile'
  )


@contextlib.contextmanager
def _exclusive(workdir: Path) -> Iterator[None]:
  """Refuses a second program on the same folder."""
  with (workdir / '.lock').open('w') as lock:
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
    yield


@contextlib.contextmanager
def open_workdir(workdir: Path, config: Any) -> Iterator[None]:
  """Claims `workdir` for this run and stores its config there.

  Args:
    workdir: created if missing.
    config: the run's `ConfigDict`.

  Raises:
    UserError: if the folder belongs to a run with another config, is in use
      or cannot be written.
  """
  plain = _as_plain(config)
  path = workdir / 'config.json'
  with contextlib.ExitStack() as stack:
    if jax.process_index() == 0:
      try:
        workdir.mkdir(parents=True, exist_ok=True)
        stack.enter_context(_exclusive(workdir))
        if path.exists():
          _check_same_run(path, plain)
        write_text(path, json.dumps(plain, indent=2) + '\n')
      except OSError as error:
        raise UserError(
          f'--workdir={workdir} cannot be written ({error.strerror}): choose '
          'another folder.'
        ) from None
    barrier('workdir')
    yield
