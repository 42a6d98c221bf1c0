"""Baselines of active learning: random shares, and the whole pool.

Two kinds of cells. A share of the pool, drawn at random, is labelled whole by
the ground truth (the data-fraction ablation); the seed alone orders the
images, so a larger share contains the smaller ones of its seed, and the first
cycle of a loop with that seed is one of them. And the whole pool in k
stratified folds, each left out of one training and tested on (full
supervision). Each is a run of the loop without queries.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.experiments import grid
from segxal_jax.config import builders, validation
from segxal_jax.experiments import loop_cells
from segxal_jax.pool.sources import LabelledFirst


def share_title(percent: float) -> str:
  """How tables call a share of the pool."""
  return f'{percent:g} %'


def folds_title(folds: int) -> str:
  """How tables call the cross-validation."""
  return f'fully supervised, {folds} folds'


def cells_of(config: ConfigDict, pools: bool = True) -> list[grid.Cell]:
  """All cells, checked; seed by seed, then the folds.

  Args:
    config: with `config.reference`.
    pools: whether their images are needed, and so checked too.

  Raises:
    UserError: a mistake in it, or a cell that could not run.
  """
  _check(config)
  options = config.reference
  shares = [float(percent) for percent in options.percents]
  found = [
    grid.Cell(
      title=share_title(percent),
      number=seed,
      folder=loop_cells.FOLDER / f'share_{percent:g}-{seed}',
      config=_config_of(config, seed, _share(config, percent)),
    )
    for seed in options.seeds
    for percent in shares
  ]
  # The folds are the repetitions: all with one seed.
  first = options.seeds[0]
  found += [
    grid.Cell(
      title=folds_title(options.folds),
      number=fold,
      folder=loop_cells.FOLDER / f'fold_{fold + 1}_of_{options.folds}-{first}',
      config=_config_of(config, first, _fold(config, fold)),
      unit='fold',
    )
    for fold in range(options.folds)
  ]
  for cell in found:
    validation.check(cell.config)
  if pools:
    _check_pools(found)
  return found


def _check(config: ConfigDict) -> None:
  options = config.reference
  if config.compare.arms:
    raise UserError(
      'config.reference.seeds and config.compare.arms are both set: one '
      'command runs one of the two; empty the other.'
    )
  if not options.percents and not options.folds:
    raise UserError(
      'config.reference.percents and config.reference.folds are both empty: '
      'there is nothing to run.'
    )
  for name in ('seeds', 'percents'):
    values = tuple(options[name])
    if len(set(values)) < len(values):
      raise UserError(
        f'config.reference.{name} is {values}: give each of them once.'
      )
  for seed in options.seeds:
    if not isinstance(seed, int) or seed < 0:
      raise UserError(
        f'config.reference.seeds has {seed!r}: a seed is a whole number, 0 or '
        'more.'
      )
  for percent in options.percents:
    if not isinstance(percent, (int, float)) or not 0 < percent <= 100:
      raise UserError(
        f'config.reference.percents has {percent!r}: a share of the pool is a '
        'number greater than 0 and at most 100.'
      )
  if config.pool.folds:
    raise UserError(
      'config.pool.folds is set by the cells: leave it 0, and set their '
      'number by config.reference.folds.'
    )


def _check_pools(found: Sequence[grid.Cell]) -> None:
  """The pools of the smallest share and of a fold."""
  shares = [cell for cell in found if not cell.config.pool.folds]
  shares.sort(key=lambda cell: cell.config.pool.initial_percent)
  for cell in (*shares[:1], *found[len(shares) :][:1]):
    pool = builders.pool_source(cell.config)
    if isinstance(pool, LabelledFirst):
      raise UserError(
        'config.reference.seeds labels shares of the pool by the ground truth, '
        f'but of its {len(pool)} images {pool.num_labelled} have a label: '
        'leave it empty, or take a data set that is labelled.'
      )


def _config_of(
  config: ConfigDict, seed: int, changes: Mapping[str, Any]
) -> Any:
  fixed = {'stop.cycles': config.reference.cycles}
  return loop_cells.config_of(config, seed, fixed | dict(changes))


def _share(config: ConfigDict, percent: float) -> dict[str, Any]:
  """Of a protocol that counts images, the same share of its seed set.

  300 images are the 10 % of Cityscapes' protocol, so 40 % are 1,200.
  """
  if percent == 100:
    return _whole(config)
  pool = config.pool
  count = round(pool.num_initial * percent / pool.initial_percent)
  return {'pool.initial_percent': float(percent), 'pool.num_initial': count}


def _whole(config: ConfigDict) -> dict[str, Any]:
  """Labels for all, and steps of its own if the config gives some."""
  changes = {'pool.initial_percent': 100.0, 'pool.num_initial': 0}
  steps = config.reference.full_steps
  if not steps:
    return changes
  longer = steps / max(1, config.phase1_steps)
  return changes | {
    'phase1_steps': steps,
    'steps_per_image': 0,
    'optimizer.poly_steps': round(longer * config.optimizer.poly_steps),
  }


def _fold(config: ConfigDict, fold: int) -> dict[str, Any]:
  return _whole(config) | {
    'pool.folds': config.reference.folds,
    'pool.fold': fold,
  }
