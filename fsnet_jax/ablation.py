"""The ablation of the paper's Table IV: which part of FSNet does the work?

Every variant differs from the base config in a few fields. Variants that
differ in F alone share one phase 1 per seed and data fraction, and are
bit-identical to a run that trained its own.
"""

import copy
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from fsnet_jax import config_check
from fsnet_jax.evaluate import evaluate
from fsnet_jax.report import ablation_table
from fsnet_jax.report.atomic import write_bytes
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.train import Trainer
from input_pipeline.errors import UserError
from input_pipeline.notices import say

_INPUTS = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')


class Variant(NamedTuple):
  """One row of the table.

  Attributes:
    fields: dotted config fields that differ from the base config.
    shares_phase1: whether phase 1 is that of its data fraction; the arm
      without a phase 1 has none to share.
  """

  fields: Mapping[str, Any]
  shares_phase1: bool = True


def _without(name: str) -> Variant:
  kept = tuple(other for other in _INPUTS if other != name)
  return Variant({'failure.inputs': kept})


VARIANTS: Mapping[str, Variant] = {
  'full': Variant({}),
  'single_branch': Variant({'failure.branches': 'single'}),
  'data_20': Variant({'data.train_fraction': 0.2}),
  **{f'no_{name}': _without(name) for name in _INPUTS},
  # The paper (III-B) says that this fails; as many steps in all.
  'joint_from_scratch': Variant({}, shares_phase1=False),
}


def variant_config(config: Any, name: str, seed: int) -> ConfigDict:
  """The config of one cell, without its shared phase 1.

  Args:
    config: the base.
    name: a key of `VARIANTS`.
    seed: of the cell.
  """
  cell = copy.deepcopy(ConfigDict(config)).unlock()
  cell.seed = seed
  for path, value in VARIANTS[name].fields.items():
    *parents, leaf = path.split('.')
    node = cell
    for parent in parents:
      node = node[parent]
    node[leaf] = value
  if not VARIANTS[name].shares_phase1:
    cell.phase2_steps = config.phase1_steps + config.phase2_steps
    cell.phase1_steps = 0
  return cell.lock()


def phase1_config(cell: Any, config: Any) -> ConfigDict:
  """The run of phase 1 alone that a cell goes on from."""
  shared = copy.deepcopy(ConfigDict(cell)).unlock()
  shared.failure = copy.deepcopy(config.failure)
  shared.phase2_steps = 0
  return shared.lock()


def _phase1_folder(workdir: Path, cell: Any) -> Path:
  percent = round(100 * cell.data.train_fraction)
  return workdir / f'seed{cell.seed}' / f'phase1_data{percent}'


def _train_cell(config: Any, cell: ConfigDict, name: str, workdir: Path):
  """Trains what is missing of a cell and returns its final config."""
  if VARIANTS[name].shares_phase1:
    folder = _phase1_folder(workdir, cell)
    shared = phase1_config(cell, config)
    with open_workdir(folder, shared):
      Trainer(shared, folder).run()
    cell = copy.deepcopy(cell).unlock()
    cell.init.phase1 = str(folder)
    cell.lock()
  folder = workdir / f'seed{cell.seed}' / name
  origin = {'config_name': f'ablation {name}', 'command': ''}
  with open_workdir(folder, cell):
    Trainer(cell, folder).run()
    return evaluate(cell, folder, origin)


def _finished(folder: Path) -> dict[str, Any] | None:
  """Metrics of a cell that an earlier command has finished."""
  try:
    return json.loads((folder / 'report' / 'metrics.json').read_text())
  except (OSError, ValueError):
    return None


def check(config: Any) -> None:
  """Raises UserError for a variant that does not exist or cannot be made."""
  names, seeds = config.ablation.variants, config.ablation.seeds
  for name in names:
    if name not in VARIANTS:
      raise UserError(
        f'config.ablation.variants names {name!r}, which does not exist: '
        f'choose from {", ".join(VARIANTS)}.'
        f'{config_check.suggestion(name, VARIANTS)}'
      )
  if not names or not seeds:
    raise UserError(
      'config.ablation.variants and config.ablation.seeds must each name at '
      'least one.'
    )
  if config.switch != 'steps':
    raise UserError(
      f'config.switch is {config.switch!r}: the ablation shares phase 1, whose '
      "length must be known: set config.switch='steps'."
    )


def run(config: Any, workdir: Path, mode: str, origin: Mapping[str, str]):
  """Trains and evaluates every cell that is not finished; prints the table.

  Args:
    config: a base config with `ablation.variants` and `ablation.seeds`.
    workdir: of the whole ablation; a folder for each seed and variant.
    mode: `train`, or `evaluate` to print the table of what is finished.
    origin: as `evaluate.evaluate` takes it.

  Raises:
    UserError: for a mistake in the config.
    Interrupted: if it was stopped; the same command goes on.
  """
  check(config)
  cells: dict[str, dict[int, dict[str, Any]]] = {}
  # Seed by seed: a whole table of one seed says more than half of it of two.
  both = itertools.product(config.ablation.seeds, config.ablation.variants)
  for seed, name in both:
    metrics = _finished(workdir / f'seed{seed}' / name)
    if metrics is None and mode == 'train':
      say(f'ablation: {name}, seed {seed}')
      cell = variant_config(config, name, seed)
      metrics = _train_cell(config, cell, name, workdir)
    if metrics is not None:
      cells.setdefault(name, {})[seed] = metrics
      _write(workdir, config, cells, origin)
  if not cells:
    raise UserError(
      f'--mode=evaluate, but {workdir} has no finished variant: run '
      '--mode=train first.'
    )
  print(ablation_table.markdown(cells, config.segmentation.name))


def _write(workdir: Path, config: Any, cells: Any, origin: Any) -> None:
  """The table of what is finished so far."""
  if jax.process_index() == 0:
    folder = workdir / 'report'
    folder.mkdir(parents=True, exist_ok=True)
    text = ablation_table.markdown(cells, config.segmentation.name)
    command = origin.get('command', '')
    head = f'`{command}`\n\n' if command else ''
    write_bytes(folder / 'ablation.md', (head + text).encode())
