"""What every grid of runs shares: a cell is a run in a folder of its own.

Each is resumable by itself, so the same command resumes the one that was
interrupted, and a report shows those that are done.
"""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import jax

from fsnet_jax.runtime.distributed import barrier
from segxal_jax.report import metrics_json
from segxal_jax.report.across_runs import Cycles, Results

# Of a grid's workdir.
FOLDER = 'cells'


def config_of(config: Any, seed: int, changes: Mapping[str, Any]) -> Any:
  """The config of one cell.

  Args:
    config: of the grid.
    seed: of the cell.
    changes: config field, with dots, to value.

  Raises:
    KeyError, TypeError, ValueError: a field or value that cannot be set.
  """
  cell = config.copy_and_resolve_references()
  with cell.unlocked():
    cell.seed = seed
    cell.compare.arms = ()
    cell.compare.seeds = ()
    cell.reference.percents = ()
    cell.reference.folds = 0
    cell.reference.seeds = ()
  cell.lock()
  cell.update_from_flattened_dict(dict(changes))
  return cell


def exists(folder: Path) -> bool:
  """Whether a cell has been begun, equal on all processes; a collective."""
  found = folder.exists()
  # No process makes it before all have checked.
  barrier('cell')
  return found


def copy(source: Path, target: Path) -> None:
  """Copies a folder; it appears whole or not at all; a collective."""
  if jax.process_index() == 0:
    temporary = target.with_name(f'.{target.name}.part')
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    temporary.rename(target)
  barrier('copy')


def results(cells: Iterable[tuple[str, int, Path]]) -> Results:
  """What the cells that are done have measured.

  Args:
    cells: row of the table, number of the run, folder.
  """
  found: dict[str, dict[int, Cycles]] = {}
  for title, number, folder in cells:
    if metrics_json.is_done(folder):
      found.setdefault(title, {})[number] = metrics_json.cycles(folder)
  return found
