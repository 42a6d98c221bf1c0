"""The ablation of the paper's Table IV: which part of FSNet does the work?

Every variant differs from the base config in a few fields. Variants that
differ in F alone share one phase 1 per seed and data fraction, and are
bit-identical to a run that trained its own.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from common_lib.console import say, show
from common_lib.errors import UserError
from common_lib.files import write_bytes
from common_lib.json_values import BadValue
from fsnet_jax.config import kinds, run_paths
from fsnet_jax.evaluation import cache, folders
from fsnet_jax.evaluation.evaluate import evaluate
from fsnet_jax.experiments import grid, stored_results
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.report import ablation_table
from fsnet_jax.report.pages.table import as_markdown, as_text
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training.from_config import trainer

# Detectors of the table: the variant, and what each is held against.
_SHOWN = ('fsnet', 'msp')
_INPUTS = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')


class Variant(NamedTuple):
  """One row of the table.

  Attributes:
    fields: dotted config fields that differ from the base config.
    shares_phase1: whether phase 1 is that of its data fraction; the variant
      without a phase 1 has none to share.
    phase3: whether the networks of phase 3 are trained too; the paper's rows
      are of the joint phase's F.
  """

  fields: Mapping[str, Any]
  shares_phase1: bool = True
  phase3: bool = False


def _form(decoder: str, msp_residual: bool, **loss: Any) -> Variant:
  return Variant(
    {'failure.decoder': decoder, 'failure.msp_residual': msp_residual}
    | {f'loss.{name}': value for name, value in loss.items()}
  )


def _robust(**fields: Any) -> Variant:
  """The mean of corrections, less one of its parts or with another mix."""
  base = {
    'failure.preset': 'robust',
    'failure.msp_residual': True,
    'failure.blocks': 1,
  }
  changes = {name.replace('__', '.'): value for name, value in fields.items()}
  return Variant(base | changes, phase3=True)


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
  # What each part of phase 3 is worth.
  'robust': _robust(),
  'robust_no_joint': _robust(phase2_steps=0),
  'robust_no_flip': _robust(fit__pixel__flip=False),
  'light': _robust(failure__preset='light'),
  'light_no_centering': _robust(
    failure__preset='light', fit__pixel__centering=0.0
  ),
  'light_no_colorless': _robust(
    failure__preset='light', fit__pixel__colorless=False
  ),
  'robust_clean': _robust(failure__mix='clean'),
  'robust_near': _robust(failure__mix='near'),
  'robust_far': _robust(failure__mix='far'),
}


def variant_config(config: ConfigDict, name: str, seed: int) -> ConfigDict:
  """The config of one cell, without its shared phase 1.

  Args:
    config: the base.
    name: a key of `VARIANTS`.
    seed: of the cell.
  """
  changes = {'seed': seed, **VARIANTS[name].fields}
  if not VARIANTS[name].shares_phase1:
    changes['phase2_steps'] = config.phase1_steps + config.phase2_steps
    changes['phase1_steps'] = 0
  if not VARIANTS[name].phase3:
    changes['phase3_steps'] = 0
  return grid.derived(config, changes)


def phase1_config(cell: Any, config: ConfigDict) -> ConfigDict:
  """The run of phase 1 alone that a cell goes on from."""
  return grid.derived(
    cell,
    {
      'failure': config.failure,
      'fit': config.fit,
      'phase2_steps': 0,
      'phase3_steps': 0,
    },
  )


@dataclasses.dataclass(frozen=True, kw_only=True)
class VariantCell(grid.Cell):
  """A variant with one seed.

  Attributes:
    phase1: the run of phase 1 that it goes on from, if the ablation has to
      train that itself.
  """

  phase1: grid.Cell | None = None


def _cell(
  config: ConfigDict, name: str, seed: int, lent: PurePosixPath | None
) -> VariantCell:
  """One cell; `lent` as the entries of `cells` have it."""
  own = variant_config(config, name, seed)
  folder = PurePosixPath(f'seed{seed}', name)
  phase1, start = None, ''
  if VARIANTS[name].shares_phase1:
    if lent is None or own.data.train_fraction != config.data.train_fraction:
      percent = round(100 * own.data.train_fraction)
      lent = folder.with_name(f'phase1_data{percent}')
      phase1 = grid.Cell(
        title=lent.name,
        number=seed,
        folder=lent,
        config=phase1_config(own, config),
      )
    start = run_paths.link(lent, folder)
  return VariantCell(
    title=name,
    number=seed,
    folder=folder,
    config=grid.derived(own, {'init.phase1': start}),
    phase1=phase1,
  )


def _train_cell(cell: VariantCell, workdir: Path) -> dict[str, Any]:
  """Trains what is missing of a cell of `workdir` and evaluates it."""
  if cell.phase1 is not None:
    shared = cell.phase1.place(workdir)
    with open_workdir(shared, cell.phase1.config):
      trainer(cell.phase1.config, shared).run()
  folder = cell.place(workdir)
  origin = {'config_name': f'ablation {cell.title}', 'command': ''}
  with open_workdir(folder, cell.config):
    trainer(cell.config, folder).run()
    phase3.run(cell.config, folder)
    return evaluate(cell.config, folder, origin)


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


def check(config: ConfigDict) -> None:
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
  config: ConfigDict,
  variants: Sequence[str],
  seeds: Sequence[int],
  workdir: Path,
  train: bool,
  lent: Mapping[int, PurePosixPath] | None = None,
) -> Iterator[grid.Results[dict[str, Any]]]:
  """Finishes one cell after the other.

  Args:
    config: the base of every cell.
    variants: keys of `VARIANTS`.
    seeds: each variant is trained with each of them.
    workdir: a folder for each seed and variant is made in it.
    train: whether to train what is missing, or to leave it out.
    lent: runs that end after phase 1 of `config`, by seed: their folders
      relative to `workdir`.

  Yields:
    After each cell, the metrics of all that are finished, by variant and
    seed.

  Raises:
    Interrupted: if it was stopped; the same call goes on.
    UserError: for what the user must change, with the variant's name.
  """
  # A table of what is there needs no images.
  data = cache.data_versions(config) if train else None

  def read(cell: VariantCell, folder: Path) -> dict[str, Any] | None:
    metrics = cache.read(folder, cell.config, data)
    return metrics if _can_be_shown(metrics, config) else None

  def make(cell: VariantCell, folder: Path) -> dict[str, Any]:
    del folder  # `cell` says where in `workdir`.
    return _train_cell(cell, workdir)

  # Seed by seed: a whole table of one seed says more than half of it of two.
  all_cells = (
    _cell(config, name, seed, (lent or {}).get(seed))
    for seed, name in itertools.product(seeds, variants)
  )
  advice = 'To have the others without it, leave it out of the variants.'
  finished = []
  for one in grid.finish(
    all_cells, workdir, read, make if train else None, advice
  ):
    finished.append(one)
    yield grid.by_title(finished)


def _can_be_shown(metrics: Any, config: ConfigDict) -> bool:
  """Whether stored metrics have all that the table shows."""
  try:
    stored_results.check_metrics(metrics, config.eval.datasets)
    for name, entry in metrics['datasets'].items():
      stored_results.check_has(entry['failure'], name, _SHOWN)
  except BadValue:
    return False
  return True


def run(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
):
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
