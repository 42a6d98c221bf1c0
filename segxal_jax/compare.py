"""Arms x seeds as resumable cells that share what they have in common.

A cell is a run of its own, in `<workdir>/cells/<arm>-<seed>`. Until the first
question all arms of a seed are the same run: it is made once, in
`cells/shared-<seed>`, and copied. Arms whose strategy trains S in another way
(`learners`) share among themselves, with the same seed set, test images and
random subsets.
"""

import ast
import dataclasses
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from input_pipeline.errors import UserError
from input_pipeline.notices import say
from segxal_jax import acquisition, config_check
from segxal_jax.loop import run_loop
from segxal_jax.report import collect

# What decides the seed set and the first training: an arm must not touch it.
_SHARED = (
  'data.',
  'pool.num_initial',
  'pool.initial_percent',
  'pool.holdout',
  'segmentation.',
  'failure.',
  'optimizer.',
  'loss.',
  'init.',
  'phase',
  'batch_size',
  'image_size',
  'width',
  'seed',
  'depth.provider',
  'acquisition.deal_stride',
  'acquisition.deal_loss',
  'acquisition.teacher_',
)


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
    if field.startswith(_SHARED):
      raise UserError(
        f'config.compare.arms has {arm!r}: {field} must be the same in all '
        'arms; set it for all of them.'
      )
    changes[field] = _value(text)
  return Arm(title, changes)


def _value(text: str) -> Any:
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text  # a word


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
    config_check.check(cell_config(config, arm, seeds[0]))
  return parsed


def cell_config(config: Any, arm: Arm | None, seed: int) -> Any:
  """The config of one cell; what arms share if there is none.

  Raises:
    UserError: the arm names a field that there is not.
  """
  cell = config.copy_and_resolve_references()
  with cell.unlocked():
    cell.seed = seed
    cell.compare.arms = ()
    cell.compare.seeds = ()
    if arm is None:
      cell.acquisition.strategy = 'random'
  cell.lock()
  try:
    cell.update_from_flattened_dict(dict(arm.changes) if arm else {})
  except (KeyError, TypeError, ValueError) as error:
    raise UserError(
      f'config.compare.arms: {arm.title} cannot be set: {error}.'
    ) from None
  return cell


def run_cells(config: Any, workdir: Path) -> None:
  """Runs every cell to its end, seed by seed.

  Raises:
    Interrupted: stopped; the same command goes on.
  """
  cells = workdir / 'cells'
  for seed in config.compare.seeds:
    for arm in arms(config):
      folder = cells / f'{arm.folder}-{seed}'
      if not folder.exists():
        say(f'cell {arm.title}, seed {seed}: what arms share')
        shared = _run_shared(config, arm, seed, cells)
        _copy(shared, folder)
      say(f'cell {arm.title}, seed {seed}')
      run_loop(cell_config(config, arm, seed), folder)


def _run_shared(config: Any, arm: Arm, seed: int, cells: Path) -> Path:
  """The folder of a seed's first training, as the arm's learner trains."""
  cell = cell_config(config, arm, seed)
  learner = acquisition.create(cell.acquisition.strategy).means.learner
  if learner == 'plain':
    folder = cells / f'shared-{seed}'
    cell = cell_config(config, None, seed)
  else:
    folder = cells / f'shared-{learner}-{seed}'
  run_loop(cell, folder, until=(1, 'explain'))
  return folder


def _copy(source: Path, target: Path) -> None:
  """Copies a folder; it appears whole or not at all."""
  temporary = target.with_name(f'.{target.name}.{os.getpid()}')
  shutil.rmtree(temporary, ignore_errors=True)
  shutil.copytree(source, temporary)
  temporary.rename(target)


def results(
  config: Any, workdir: Path
) -> dict[str, dict[int, Sequence[Mapping[str, Any]]]]:
  """Measured cycles by arm's title and seed, of the cells that are done."""
  found: dict[str, dict[int, Sequence[Mapping[str, Any]]]] = {}
  for arm in arms(config):
    for seed in config.compare.seeds:
      folder = workdir / 'cells' / f'{arm.folder}-{seed}'
      if collect.is_done(folder):
        found.setdefault(arm.title, {})[seed] = collect.cycles(folder)
  return found
