"""`position.json`: the stage that comes next, checked before it is used."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from common_lib import checksums
from common_lib.errors import UserError
from segxal_jax.loop.state import DONE, STAGES

_FILE = 'position.json'
_WHAT = 'the position of a run'
_LONGEST_REASON = 1000
_FIX = (
  'delete it, and the same command resumes from the newest checkpoint, with '
  'the same result'
)

Position = dict[str, Any]


def write(workdir: Path, position: Position) -> None:
  """Writes where a run stands.

  Args:
    workdir: of the run.
    position: of `LoopState.metadata`.

  Raises:
    OSError: the file cannot be written.
  """
  checksums.write_json(workdir / _FILE, position)


def read(workdir: Path) -> Position | None:
  """Where a run stands; None if it has not got that far.

  Raises:
    UserError: the file is damaged, or was changed.
  """
  path = workdir / _FILE
  if not path.exists():
    return None
  found = checksums.read_json(path, what=_WHAT, fix=_FIX)
  problem = _problem(found)
  if problem is not None:
    raise UserError(
      f'{path}, {_WHAT}, is damaged or was changed ({problem}): {_FIX}.'
    )
  return found


def _problem(position: Position) -> str | None:
  """What no run would have written, as a clause."""
  if set(position) != {'cycle', 'stage', 'queried', 'reason'}:
    return 'it must have cycle, stage, queried and reason, and nothing else'
  if not _is_count(position['cycle']) or position['cycle'] < 1:
    return 'its cycle is no number from 1'
  if position['stage'] not in (*STAGES, DONE):
    return 'its stage is none'
  queried = position['queried']
  if not isinstance(queried, list) or not all(map(_is_count, queried)):
    return 'its queried are no indices of images'
  if len(set(queried)) < len(queried):
    return 'its queried name an image twice'
  reason = position['reason']
  if not isinstance(reason, str) or len(reason) > _LONGEST_REASON:
    return 'its reason is no short text'
  if bool(reason) != (position['stage'] == DONE):
    return 'it has a reason to end without an end, or none at its end'
  return None


def _is_count(value: Any) -> bool:
  return type(value) is int and value >= 0


def check_fits(
  workdir: Path,
  position: Position,
  *,
  pool_size: int,
  furthest: int | None,
  trained_before: Callable[[int], int],
) -> None:
  """Raises UserError unless a run with such checkpoints can stand there.

  Args:
    workdir: of the run.
    position: of `read`.
    pool_size: images of the pool.
    furthest: step of the last checkpoint, damaged or not, or None.
    trained_before: training steps of all cycles before a number.
  """
  where = (
    f'{workdir / _FILE} stands at cycle {position["cycle"]}, stage '
    f'{position["stage"]!r}'
  )
  if any(index >= pool_size for index in position['queried']):
    raise UserError(
      f'{where} and queries images beyond the {pool_size} of the pool: {_FIX}.'
    )
  cycle, stage = position['cycle'], position['stage']
  # Steps that were trained before a run could stand there.
  trained = trained_before(cycle if stage == 'train' else cycle + 1)
  if trained > (furthest or 0):
    have = (
      'there is no checkpoint'
      if furthest is None
      else f'the last checkpoint is of step {furthest}'
    )
    raise UserError(
      f'{where}, which is after {trained} training steps, but {have}: put the '
      f'missing checkpoints back, or {_FIX}.'
    )
