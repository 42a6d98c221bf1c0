"""Cells whose run is the loop: how they are made, and what they measured."""

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from ml_collections import ConfigDict

from fsnet_jax.experiments import grid
from segxal_jax.loop.driver import run_loop
from segxal_jax.report import metrics_json
from segxal_jax.report.across_runs import Cycles, Results

# Of the workdir of an experiment: its cells.
FOLDER = PurePosixPath('cells')
# A cell is one run, whatever runs there are.
_OF_ONE_RUN: Mapping[str, Any] = {
  'compare.arms': (),
  'compare.seeds': (),
  'reference.percents': (),
  'reference.folds': 0,
  'reference.seeds': (),
}


def config_of(config: ConfigDict, seed: int, changes: Mapping[str, Any]) -> Any:
  """The config of one cell.

  Args:
    config: of the experiment.
    seed: of the cell.
    changes: config field, with dots, to value.
  """
  return grid.derived(config, {**_OF_ONE_RUN, 'seed': seed, **changes})


def read(cell: grid.Cell, folder: Path) -> Cycles | None:
  """What each cycle of a cell measured; None if it is not at its end."""
  del cell
  return metrics_json.cycles(folder) if metrics_json.is_done(folder) else None


def make(cell: grid.Cell, folder: Path) -> Cycles | None:
  """Runs a cell to its end."""
  run_loop(cell.config, folder)
  return read(cell, folder)


def results(found: Sequence[grid.Cell], workdir: Path) -> Results:
  """Measured cycles by title and number, of the cells that are done."""
  return grid.by_title(grid.finish(found, workdir, read))


def run(found: Sequence[grid.Cell], workdir: Path, make: grid.Make) -> None:
  """Runs every cell to its end.

  Raises:
    Interrupted: stopped; the same command resumes.
  """
  for _ in grid.finish(found, workdir, read, make):
    pass
