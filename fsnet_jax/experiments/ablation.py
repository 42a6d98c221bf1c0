"""The ablation of the paper's Table IV: which part of FSNet does the work?

Every variant differs from the base config in a few fields. Variants that
differ in F alone share one phase 1 per seed and data fraction, and are
bit-identical to a run that trained its own.
"""

import copy
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from common_lib.console import say, show
from common_lib.errors import UserError
from common_lib.files import write_bytes
from common_lib.json_values import BadValue
from fsnet_jax.config import kinds
from fsnet_jax.evaluation import cache, folders
from fsnet_jax.evaluation.evaluate import evaluate
from fsnet_jax.experiments import stored_results
from fsnet_jax.report import ablation_table
from fsnet_jax.report.pages.table import as_markdown, as_text
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training.trainer import Trainer

# Detectors of the table: the variant, and what each is held against.
_SHOWN = ('fsnet', 'msp')
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


def _form(decoder: str, msp_residual: bool, **loss: Any) -> Variant:
  return Variant(
    {'failure.decoder': decoder, 'failure.msp_residual': msp_residual}
    | {f'loss.{name}': value for name, value in loss.items()}
  )


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
  # Forms of F that the paper leaves open, whatever the base config has: its
  # decoder by the letter, and ours, with and without the correction to MSP.
  'literal': _form('literal', False),
  'skips': _form('skips', False),
  'four_scale': _form('four_scale', False),
  'skips_residual': _form('skips', True),
  'four_scale_residual': _form('four_scale', True),
  # The weight beta of errors in L2 (equation 4): one-sided, and none at all.
  'skips_residual_pos_weight': _form('skips', True, form='pos_weight'),
  'skips_residual_unweighted': _form('skips', True, beta_range=(0.5, 0.5)),
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


def _phase1_of(
  config: Any, cell: ConfigDict, name: str, workdir: Path, lent: Path | None
) -> Path | None:
  """The finished phase 1 that a cell goes on from; None: its own."""
  if not VARIANTS[name].shares_phase1:
    return None
  whole = cell.data.train_fraction == config.data.train_fraction
  if lent is not None and whole:
    return lent
  folder = _phase1_folder(workdir, cell)
  shared = phase1_config(cell, config)
  with open_workdir(folder, shared):
    Trainer(shared, folder).run()
  return folder


def _train_cell(
  config: Any, cell: ConfigDict, name: str, workdir: Path, lent: Path | None
) -> dict[str, Any]:
  """Trains what is missing of a cell and evaluates it."""
  phase1 = _phase1_of(config, cell, name, workdir, lent)
  cell = copy.deepcopy(cell).unlock()
  cell.init.phase1 = str(phase1 or '')
  cell.lock()
  folder = workdir / f'seed{cell.seed}' / name
  origin = {'config_name': f'ablation {name}', 'command': ''}
  with open_workdir(folder, cell):
    Trainer(cell, folder).run()
    return evaluate(cell, folder, origin)


def check_variants(variants: Sequence[str], field: str) -> None:
  """Raises UserError for a variant that does not exist.

  Args:
    variants: names.
    field: of the config that holds them.
  """
  for name in variants:
    if name not in VARIANTS:
      raise UserError(
        f'{field}.variants names {name!r}, which does not exist: '
        f'choose from {", ".join(VARIANTS)}.'
        f'{kinds.suggestion(name, VARIANTS)}'
      )


def check(config: Any) -> None:
  """Raises UserError for a variant that does not exist or cannot be made."""
  check_variants(config.ablation.variants, 'config.ablation')
  if not config.ablation.variants or not config.ablation.seeds:
    raise UserError(
      'config.ablation.variants and config.ablation.seeds must each name at '
      'least one.'
    )
  for name in _SHOWN:
    if name not in config.eval.detectors:
      raise UserError(
        f'config.eval.detectors lacks {name!r}, which the table of the '
        'ablation shows: add it.'
      )
  if config.switch != 'steps':
    raise UserError(
      f'config.switch is {config.switch!r}: the ablation shares phase 1, whose '
      "length must be known: set config.switch='steps'."
    )


def cells(
  config: Any,
  variants: Sequence[str],
  seeds: Sequence[int],
  workdir: Path,
  train: bool,
  lent: Mapping[int, Path] | None = None,
) -> Iterator[dict[str, dict[int, dict[str, Any]]]]:
  """Finishes one cell after the other.

  Args:
    config: the base of every cell.
    variants: keys of `VARIANTS`.
    seeds: each variant is trained with each of them.
    workdir: a folder for each seed and variant is made in it.
    train: whether to train what is missing, or to leave it out.
    lent: workdirs of runs that end after phase 1 of `config`, by seed.

  Yields:
    After each cell, the metrics of all that are finished, by variant and
    seed.

  Raises:
    Interrupted: if it was stopped; the same call goes on.
    UserError: for what the user must change, with the variant's name.
  """
  found: dict[str, dict[int, dict[str, Any]]] = {}
  # A table of what is there needs no images.
  data = cache.data_versions(config) if train else None
  # Seed by seed: a whole table of one seed says more than half of it of two.
  for seed, name in itertools.product(seeds, variants):
    cell = variant_config(config, name, seed)
    metrics = cache.read(workdir / f'seed{seed}' / name, cell, data)
    if not _can_be_shown(metrics, config):
      metrics = None
    if metrics is None and train:
      say(f'ablation: {name}, seed {seed}')
      phase1 = (lent or {}).get(seed)
      try:
        metrics = _train_cell(config, cell, name, workdir, phase1)
      except UserError as error:
        raise UserError(
          f'Variant {name}, seed {seed}: {error} To have the others without '
          'it, leave it out of the variants.'
        ) from error
    if metrics is not None:
      found.setdefault(name, {})[seed] = metrics
      yield found


def _can_be_shown(metrics: Any, config: Any) -> bool:
  """Whether stored metrics have all that the table shows."""
  try:
    stored_results.check_metrics(metrics, config.eval.datasets)
    for name, entry in metrics['datasets'].items():
      stored_results.check_has(entry['failure'], name, _SHOWN)
  except BadValue:
    return False
  return True


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
  table, folder = None, folders.of_table(config, workdir, mode)
  options, train = config.ablation, mode == 'train'
  for found in cells(config, options.variants, options.seeds, workdir, train):
    table = ablation_table.table(
      ablation_table.summary(found), config.segmentation.name
    )
    _write(folder, as_markdown(table), origin)
  if table is None:
    raise UserError(
      f'--mode=evaluate, but {workdir} has no finished variant: run '
      '--mode=train first.'
    )
  show(as_text(table))
  say(f'table: {folder / "ablation.md"}')


def _write(folder: Path, text: str, origin: Mapping[str, str]) -> None:
  """The table of what is finished so far."""
  if jax.process_index() == 0:
    folder.mkdir(parents=True, exist_ok=True)
    command = origin.get('command', '')
    head = f'`{command}`\n\n' if command else ''
    write_bytes(folder / 'ablation.md', (head + text).encode())
