"""Arms x seeds as resumable cells that share what they have in common.

A cell is a run of its own, in `<workdir>/cells/<arm>-<seed>`. Until the first
question all arms of a seed are the same run: it is made once, in
`cells/shared-<seed>`, and copied. Arms whose strategy trains S in another way
(`learners`) share among themselves, with the same seed set, test images and
random subsets.
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

# An arm may differ in what comes after the first training, and in that alone.
_SHARED = ~rows.CYCLES


@dataclasses.dataclass(frozen=True)
class Arm:
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


def parse(arm: str) -> Arm:
  """Reads 'Title field=value field=value'.

  Fields without a dot are of `config.acquisition`.

  Raises:
    UserError: it cannot be read, or changes what all arms share.
  """
  title, *assignments = arm.split()
  changes = {}
  for assignment in assignments:
    field, equals, text = assignment.partition('=')
    if not equals:
      raise UserError(
        f'config.compare.arms has {arm!r}: write "Title field=value ...".'
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
        f'config.compare.arms has {arm!r}: {field} must be the same in all '
        'arms; set it for all of them.'
      )
    changes[field] = resolution.in_a_sentence(field, text, row.kind.parse)
  return Arm(title, changes)


def arms(config: Any) -> list[Arm]:
  """The arms of a comparison, checked.

  Raises:
    UserError: a mistake in one of them, or two of one name.
  """
  parsed = [parse(arm) for arm in config.compare.arms]
  folders = [arm.folder for arm in parsed]
  if len(set(folders)) < len(folders) or 'shared' in folders:
    raise UserError(
      'config.compare.arms has two arms of one name, or one called shared.'
    )
  seeds = tuple(config.compare.seeds)
  if not seeds or len(set(seeds)) < len(seeds):
    raise UserError(
      f'config.compare.seeds is {seeds}: give each seed once, at least one.'
    )
  for arm in parsed:
    validation.check(cell_config(config, arm, seeds[0]))
  return parsed


def cell_config(config: Any, arm: Arm | None, seed: int) -> Any:
  """The config of one cell; what arms share if there is none."""
  if arm is None:
    return run_grid.config_of(config, seed, {'acquisition.strategy': 'random'})
  return run_grid.config_of(config, seed, arm.changes)


def run_cells(config: Any, workdir: Path) -> None:
  """Runs every cell to its end, seed by seed.

  Raises:
    Interrupted: stopped; the same command goes on.
  """
  for seed in config.compare.seeds:
    for arm in arms(config):
      folder = _folder(workdir, arm, seed)
      if not run_grid.exists(folder):
        say(f'cell {arm.title}, seed {seed}: what arms share')
        shared = _run_shared(config, arm, seed, folder.parent)
        run_grid.copy(shared, folder)
      say(f'cell {arm.title}, seed {seed}')
      run_loop(cell_config(config, arm, seed), folder)


def _folder(workdir: Path, arm: Arm, seed: int) -> Path:
  return workdir / run_grid.FOLDER / f'{arm.folder}-{seed}'


def _run_shared(config: Any, arm: Arm, seed: int, home: Path) -> Path:
  """The folder of a seed's first training, as the arm's learner trains."""
  cell = cell_config(config, arm, seed)
  learner = acquisition.create(cell.acquisition.strategy).requirements.learner
  if learner == 'plain':
    folder = home / f'shared-{seed}'
    cell = cell_config(config, None, seed)
  else:
    folder = home / f'shared-{learner}-{seed}'
  run_loop(cell, folder, until=(1, 'explain'))
  return folder


def results(config: Any, workdir: Path) -> Results:
  """Measured cycles by arm's title and seed, of the cells that are done."""
  return run_grid.results(
    (arm.title, seed, _folder(workdir, arm, seed))
    for arm in arms(config)
    for seed in config.compare.seeds
  )
