"""The contents of metrics.json of an active-learning run."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common_lib.errors import UserError
from segxal_jax.loop import cycle_files, position, stage_timings
from segxal_jax.report import curves

SCHEMA = 1


def cycles(workdir: Path) -> list[dict[str, Any]]:
  """What each finished cycle measured, in order, and how long it took.

  An entry's `seconds` are those of its stages (see `stage_timings.read`).

  Raises:
    UserError: no cycle has been measured yet, or what one has measured is
      missing or damaged.
  """
  count = cycle_files.measured_cycles(workdir)
  entries = [
    cycle_files.read_metrics(workdir, cycle) for cycle in range(1, count + 1)
  ]
  seconds = stage_timings.read(workdir)
  for entry in entries:
    entry['seconds'] = seconds.get(entry['cycle'], {})
  if not entries:
    raise UserError(
      f'--workdir={workdir} holds no measured cycle: run --mode=train first.'
    )
  first = list(entries[0]['datasets'])
  if any(list(entry['datasets']) != first for entry in entries):
    raise UserError(
      f'--workdir={workdir} was measured on other data sets in its first '
      f'cycle ({", ".join(first)}): set config.eval.datasets back, or begin '
      'in another --workdir.'
    )
  return entries


def reason(workdir: Path) -> str:
  """Why a run ended; '' if it has not."""
  found = position.read(workdir)
  return '' if found is None else found['reason']


def is_done(workdir: Path) -> bool:
  """Whether a run has come to its end."""
  return bool(reason(workdir))


def with_answers(
  entries: list[dict[str, Any]], ledger: Any
) -> list[dict[str, Any]]:
  """Adds to each cycle what was queried in it and what was accepted."""
  result = []
  for entry in entries:
    cycle = entry['cycle']
    selection = ledger.selection(cycle)
    asked = [a for a in ledger.annotations() if a.cycle == cycle]
    result.append(
      entry
      | {
        'asked': [a.id for a in asked],
        'accepted': len(selection['accepted']) if selection else 0,
        'dice': _mean(selection['dice'].values()) if selection else None,
        'answers': {
          'pixels': sum(a.audit['pixels'] for a in asked),
          'wrong': sum(a.audit['wrong'] for a in asked),
        },
      }
    )
  return result


def metrics(
  entries: list[dict[str, Any]],
  config: Mapping[str, Any],
  environment: Mapping[str, Any],
  reason: str,
) -> dict[str, Any]:
  """Everything, with the last cycle's data sets where FSNet's file has them.

  `curves` holds for each data set and axis (`curves.AXES`) the area under the
  learning curve over the axis's width: the mean mIoU, 0 to 1.
  """
  last = entries[-1]
  return {
    'schema': SCHEMA,
    'task': 'segxal',
    'config': dict(config),
    'environment': dict(environment),
    'stopped': reason,
    'cycles': entries,
    'curves': {
      name: {
        f'area_by_{axis}': curves.area(points)
        for axis, points in curves.by_axis(entries, name).items()
      }
      for name in last['datasets']
    },
    'datasets': last['datasets'],
  }


def _mean(values: Any) -> float | None:
  known = [value for value in values if value is not None]
  return sum(known) / len(known) if known else None
