"""Methods x seeds as resumable cells that share what they have in common.

A cell is a run of its own, in `<workdir>/cells/<method>-<seed>`. Until the
first query all methods of a seed are the same run: it is made once, in
`cells/shared-<seed>`, and copied. Methods whose strategy trains S in another
way (`learners`) share among themselves, with the same seed set, test images
and random subsets.

The methods are those of `config.compare.arms`.
"""

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.config import fields as rows
from fsnet_jax.config import resolution
from segxal_jax import acquisition
from segxal_jax.config import validation
from segxal_jax.config.fields import FIELDS
from segxal_jax.experiments import run_grid
from segxal_jax.loop.driver import run_loop
from segxal_jax.report.across_runs import Results

# Methods differ in what comes after the first training, and in that alone.
_SHARED = ~rows.CYCLES


@dataclasses.dataclass(frozen=True)
class Method:
  """One method of the comparison.

  Attributes:
    title: how tables call it.
    changes: config field to value.
  """

  title: str
  changes: Mapping[str, Any]

  @property
  def folder(self) -> str:
    """The title as part of a file name."""
    return re.sub(r'[^a-z0-9]+', '_', self.title.lower()).strip('_')


def parse(method: str) -> Method:
  """Reads 'Title field=value field=value'.

  Fields without a dot are of `config.acquisition`.

  Raises:
    UserError: it cannot be read, or changes what all methods share.
  """
  title, *assignments = method.split()
  changes = {}
  for assignment in assignments:
    field, equals, text = assignment.partition('=')
    if not equals:
      raise UserError(
        f'config.compare.arms has {method!r}: write "Title field=value ...".'
      )
    field = field if '.' in field else f'acquisition.{field}'
    row = rows.find(field, FIELDS)
    if row is None:
      raise UserError(
        f'config.compare.arms: {title} cannot be set: '
        f'{resolution.no_field(field, FIELDS)}'
      )
    if row.decides & _SHARED:
      raise UserError(
        f'config.compare.arms has {method!r}: {field} must be the same in all '
        'methods; set it for all of them.'
      )
    changes[field] = resolution.in_a_sentence(field, text, row.kind.parse)
  return Method(title, changes)


def methods(config: Any) -> list[Method]:
  """The methods of a comparison, checked.

  Raises:
    UserError: a mistake in one of them, or two of one name.
  """
  parsed = [parse(method) for method in config.compare.arms]
  folders = [method.folder for method in parsed]
  if len(set(folders)) < len(folders) or 'shared' in folders:
    raise UserError(
      'config.compare.arms has two methods of one name, or one called shared.'
    )
  seeds = tuple(config.compare.seeds)
  if not seeds or len(set(seeds)) < len(seeds):
    raise UserError(
      f'config.compare.seeds is {seeds}: give each seed once, at least one.'
    )
  for method in parsed:
    validation.check(cell_config(config, method, seeds[0]))
  return parsed


def cell_config(config: Any, method: Method | None, seed: int) -> Any:
  """The config of one cell; what methods share if there is none."""
  if method is None:
    return run_grid.config_of(config, seed, {'acquisition.strategy': 'random'})
  return run_grid.config_of(config, seed, method.changes)


def run_cells(config: Any, workdir: Path) -> None:
  """Runs every cell to its end, seed by seed.

  Raises:
    Interrupted: stopped; the same command resumes.
  """
  for seed in config.compare.seeds:
    for method in methods(config):
      folder = _folder(workdir, method, seed)
      if not run_grid.exists(folder):
        say(f'cell {method.title}, seed {seed}: what methods share')
        shared = _run_shared(config, method, seed, folder.parent)
        run_grid.copy(shared, folder)
      say(f'cell {method.title}, seed {seed}')
      run_loop(cell_config(config, method, seed), folder)


def _folder(workdir: Path, method: Method, seed: int) -> Path:
  return workdir / run_grid.FOLDER / f'{method.folder}-{seed}'


def _run_shared(config: Any, method: Method, seed: int, home: Path) -> Path:
  """The folder of a seed's first training, as the method's learner trains."""
  cell = cell_config(config, method, seed)
  learner = acquisition.create(cell.acquisition.strategy).requirements.learner
  if learner == 'plain':
    folder = home / f'shared-{seed}'
    cell = cell_config(config, None, seed)
  else:
    folder = home / f'shared-{learner}-{seed}'
  run_loop(cell, folder, until=(1, 'explain'))
  return folder


def results(config: Any, workdir: Path) -> Results:
  """Measured cycles by method's title and seed, of the cells that are done."""
  return run_grid.results(
    (method.title, seed, _folder(workdir, method, seed))
    for method in methods(config)
    for seed in config.compare.seeds
  )
