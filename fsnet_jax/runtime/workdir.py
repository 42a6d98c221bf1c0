"""The folder of one run: whose config it holds, and who is writing to it."""

import contextlib
import fcntl
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax

from common_lib.errors import UserError
from common_lib.files import write_text
from fsnet_jax.config import fields
from fsnet_jax.config.fields import Field
from fsnet_jax.runtime.distributed import barrier

# What must stay as it was between two commands on one run.
_FIXED = (
  fields.DATA | fields.START | fields.PHASE1 | fields.PHASE2 | fields.CYCLES
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


def _check_same_run(
  path: Path, config: dict[str, Any], table: Mapping[str, Field]
) -> None:
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
    if stored.get(key) != present.get(key)
    and not fields.may_differ(key, _FIXED, table)
  ]
  if changed:
    more = f' (and {len(changed) - 3} more)' if len(changed) > 3 else ''
    raise UserError(
      f"--workdir={path.parent} holds another config's run: "
      f'{"; ".join(changed[:3])}{more}: choose another --workdir or the same '
      'config.'
    )


@contextlib.contextmanager
def _exclusive(workdir: Path) -> Iterator[None]:
  """Refuses a second program on the same folder."""
  with (workdir / '.lock').open('w') as lock:
    try:
      fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
      raise UserError(
        f'--workdir={workdir} is in use by another run: wait for it or '
        'choose another --workdir.'
      ) from None
    yield


@contextlib.contextmanager
def open_workdir(
  workdir: Path, config: Any, table: Mapping[str, Field] = fields.FIELDS
) -> Iterator[None]:
  """Claims `workdir` for this run and stores its config there.

  Args:
    workdir: created if missing.
    config: the run's `ConfigDict`.
    table: of its fields.

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
          _check_same_run(path, plain, table)
        write_text(path, json.dumps(plain, indent=2) + '\n')
      except OSError as error:
        raise UserError(
          f'--workdir={workdir} cannot be written ({error.strerror}): choose '
          'another folder.'
        ) from None
    barrier('workdir')
    yield
