"""Methods x seeds as resumable cells that share what they have in common.

A cell is a run of its own, in `<workdir>/cells/<method>-<seed>`. Until the
first query all methods of a seed are the same run: it is made once, in
`cells/shared-<seed>`, and copied. Methods whose strategy trains S in another
way (`learners`) share among themselves, with the same seed set, test images
and random subsets.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.experiments import grid
from segxal_jax.config import validation
from segxal_jax.experiments import loop_cells
from segxal_jax.experiments.methods import Method, methods_of
from segxal_jax.loop.driver import run_loop
from segxal_jax.report.across_runs import Cycles

# Cycle and stage before which all methods of a learner are one run.
_PARTING = (1, 'explain')


@dataclasses.dataclass(frozen=True, kw_only=True)
class MethodCell(grid.Cell):
  """A method with one seed.

  Attributes:
    method: the method.
    shared: the first training, which it has in common with other methods.
  """

  method: Method
  shared: grid.Cell


def cells_of(config: ConfigDict) -> list[MethodCell]:
  """All cells, checked; seed by seed.

  Args:
    config: with `config.compare`.

  Raises:
    UserError: a mistake in a method, or in the seeds.
  """
  seeds = tuple(config.compare.seeds)
  if not seeds or len(set(seeds)) < len(seeds):
    raise UserError(
      f'config.compare.seeds is {seeds}: give each seed once, at least one.'
    )
  methods = methods_of(config)
  found = [_cell(config, method, seed) for seed in seeds for method in methods]
  # They differ in nothing else that is checked.
  for cell in found[: len(methods)]:
    validation.check(cell.config)
  return found


def _cell(config: ConfigDict, method: Method, seed: int) -> MethodCell:
  own = loop_cells.config_of(config, seed, method.changes)
  return MethodCell(
    title=method.title,
    number=seed,
    folder=loop_cells.FOLDER / f'{method.file_name}-{seed}',
    config=own,
    method=method,
    shared=_shared(config, method, own),
  )


def _shared(config: ConfigDict, method: Method, own: Any) -> grid.Cell:
  """The first training of a seed, as the method's learner trains."""
  kind, shared = 'shared', own
  if method.learner == 'plain':
    changes = {'acquisition.strategy': 'random'}
    shared = loop_cells.config_of(config, own.seed, changes)
  else:
    kind = f'shared-{method.learner}'
  return grid.Cell(
    title=kind,
    number=own.seed,
    folder=loop_cells.FOLDER / f'{kind}-{own.seed}',
    config=shared,
  )


def run_cells(found: Sequence[MethodCell], workdir: Path) -> None:
  """Runs every cell to its end.

  Raises:
    Interrupted: stopped; the same command resumes.
  """

  def make(cell: MethodCell, folder: Path) -> Cycles | None:
    grid.begin_with(cell.shared, folder, workdir, _make_shared)
    return loop_cells.make(cell, folder)

  loop_cells.run(found, workdir, make)


def _make_shared(shared: grid.Cell, folder: Path) -> None:
  run_loop(shared.config, folder, until=_PARTING)
