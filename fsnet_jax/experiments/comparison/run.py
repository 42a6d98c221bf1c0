"""The command: train what is missing, evaluate it, write the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from common_lib import json_values
from common_lib.console import say, show
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.config import kinds

# Of the workdir: the cells of Table IV.
_ABLATION = 'ablation'
_SHORT = ('segmentation', 'failure', 'differences', 'costs', 'ablation')


def check(config: ConfigDict) -> None:
  """Finds every mistake in `config.compare`.

  Raises:
    UserError: for the first one.
  """
  from fsnet_jax import learned_detectors
  from fsnet_jax.experiments.comparison import cells

  options = config.compare
  seeds = tuple(options.seeds)
  if not seeds or len(set(seeds)) < len(seeds):
    raise UserError(
      f'config.compare.seeds is {seeds}: give each seed once, at least one.'
    )
  _check_named_once(config)
  for name in options.fitted:
    if name not in learned_detectors.FITTED:
      raise UserError(
        f'config.compare.fitted names {name!r}, which does not exist: choose '
        f'from {", ".join(learned_detectors.FITTED)}.'
        f'{kinds.suggestion(name, learned_detectors.FITTED)}'
      )
    learned_detectors.check_options(name, config)
  if options.fitted and config.eval.checkpoint != 'last':
    raise UserError(
      f'config.eval.checkpoint is {config.eval.checkpoint!r}, but detectors '
      'that learn are fitted over the S that a run ends with: set it to '
      "'last', or config.compare.fitted to ()."
    )
  _beside(config)
  _check_ablation(options)
  compared = cells.detectors_of(config)
  if options.reference not in compared:
    raise UserError(
      f'config.compare.reference is {options.reference!r}, which is not '
      f'compared: choose from {", ".join(compared)}.'
      f'{kinds.suggestion(options.reference, compared)}'
    )
  for field, least in (('resamples', 40), ('segment_images', 0)):
    if options[field] < least:
      raise UserError(
        f'config.compare.{field} is {options[field]}: give {least} or more.'
      )
  _check_phases(config)
  if any(one.uses_failure_network for one in compared.values()):
    return
  raise UserError(
    "config.eval.detectors names no detector of FSNet: add 'fsnet'."
  )


def _check_phases(config: ConfigDict) -> None:
  """Raises UserError for steps that no comparison can have."""
  from fsnet_jax.experiments.comparison import cells

  options = config.compare
  if not cells.trains_s(config):
    if options.ablation.num_seeds:
      raise UserError(
        'config.compare.ablation.num_seeds is '
        f'{options.ablation.num_seeds}, but variants train S with F, and a '
        'network from elsewhere is not trained: set it to 0.'
      )
  elif config.switch != 'steps' or not config.phase1_steps:
    raise UserError(
      'A comparison shares phase 1, whose length must be known: set '
      "config.switch='steps' and config.phase1_steps above 0."
    )
  elif not config.phase2_steps:
    raise UserError(
      'config.phase2_steps is 0: FSNet needs a joint phase to be compared.'
    )


def _check_named_once(config: ConfigDict) -> None:
  for field, names in (
    ('compare.fitted', config.compare.fitted),
    ('eval.datasets', config.eval.datasets),
    ('eval.detectors', config.eval.detectors),
  ):
    for place, name in enumerate(names):
      if name in names[:place]:
        raise UserError(f'config.{field} names {name!r} twice: name it once.')


def _check_ablation(options: ConfigDict) -> None:
  from fsnet_jax.experiments import ablation

  field = 'config.compare.ablation'
  ablation.check_variants(options.ablation.variants, field)
  count, most = options.ablation.num_seeds, len(options.seeds)
  if not 0 <= count <= most:
    raise UserError(
      f'{field}.num_seeds is {count}: variants are trained for so many of the '
      f'{most} config.compare.seeds, so give 0 to {most}.'
    )


def run(
  config: ConfigDict, workdir: Path, mode: str, origin: Mapping[str, str]
) -> None:
  """Trains and evaluates every seed that is not finished; prints the tables.

  Args:
    config: a base config with `compare`, checked.
    workdir: of the whole comparison.
    mode: `train`, or `evaluate` to report what is finished.
    origin: as `evaluate.evaluate` takes it.

  Raises:
    UserError: for a mistake in the config.
    Interrupted: if it was stopped; the same command goes on.
  """
  from fsnet_jax import learned_detectors
  from fsnet_jax.evaluation import folders
  from fsnet_jax.experiments.comparison import cells, evaluation

  folder = folders.of_table(config, workdir, mode)

  def write(data: Any) -> dict[str, Any]:
    results = _finished(config, workdir, data)
    return _write(config, workdir, folder, results, origin)

  shown: dict[str, Any] = {}
  if mode == 'train':
    for name in config.compare.fitted:
      learned_detectors.check_data(name, config)
    data = evaluation.data_versions(config)
    for seed in config.compare.seeds:
      cells.train(config, seed, workdir)
      list(evaluation.finish(config, (seed,), workdir, data, origin))
      # A report of what is finished, while the rest runs.
      shown = write(data)
    if _ablate(config, workdir):
      shown = write(data)
  else:
    # A table of what is there needs no images.
    shown = write(None)
  if jax.process_index() == 0:
    from fsnet_jax.report.pages.table import as_text

    for name in _SHORT:
      if name in shown:
        show(as_text(shown[name]) + '\n')
    say(f'report: {folder / "report.html"}')


def _ablate(
  config: ConfigDict, workdir: Path, train: bool = True
) -> dict[str, Any]:
  """Table IV: trains the variants of FSNet that are missing.

  Args:
    config: of the comparison.
    workdir: of the comparison.
    train: False for those that are finished alone.

  Returns:
    `ablation_table.summary`, empty without a variant.
  """
  from fsnet_jax.experiments import ablation
  from fsnet_jax.experiments.comparison import cells
  from fsnet_jax.report import ablation_table

  options = config.compare.ablation
  seeds = config.compare.seeds[: options.num_seeds]
  steps = ablation.cells(
    cells.variants_config(config),
    options.variants,
    seeds,
    workdir / _ABLATION,
    train,
    {seed: '..' / cells.seed_folder(seed) / cells.PHASE1 for seed in seeds},
  )
  return ablation_table.summary(next(reversed(list(steps)), {}))


def _finished(config: ConfigDict, workdir: Path, data: Any) -> list[Any]:
  """What is known of every finished seed, in their order."""
  from fsnet_jax.experiments.comparison import evaluation

  seeds = config.compare.seeds
  results = list(evaluation.finish(config, seeds, workdir, data))
  if not results:
    raise UserError(
      f'--mode=evaluate, but {workdir} has no finished seed of this '
      'evaluation: run --mode=train first, or leave config.eval as it was.'
    )
  return results


def _write(
  config: ConfigDict,
  workdir: Path,
  folder: Path,
  results: Sequence[Any],
  origin: Any,
) -> dict[str, Any]:
  """The report of the seeds that are finished so far."""
  from common_lib.files import write_bytes
  from fsnet_jax.experiments.comparison import figures, merge, page, tables
  from fsnet_jax.report.figures import plots
  from fsnet_jax.report.pages.table import as_markdown

  content = merge.merge(results, config, config.compare.reference)
  content['environment'] |= dict(origin)
  content['ablation'] = _ablate(config, workdir, train=False)
  shown = tables.all_tables(content)
  if jax.process_index() != 0:
    return shown
  contents = [content, *_beside(config)]
  contents.sort(key=lambda one: one['network'] != 'fcn8')
  pictures = {
    'risk_coverage': figures.risk_coverage(contents, 'risk_at_coverage'),
    'risk_coverage_class_macro': figures.risk_coverage(
      contents, 'risk_at_coverage_class_macro'
    ),
    'detectors': figures.dots([content]),
  }
  files = {name: plots.to_png(figure) for name, figure in pictures.items()}
  if results[0].panel.exists():
    files['qualitative'] = results[0].panel.read_bytes()
  folder.mkdir(parents=True, exist_ok=True)
  for name, file in files.items():
    write_bytes(folder / f'{name}.png', file)
  text = json.dumps(content, indent=2, allow_nan=False) + '\n'
  write_bytes(folder / 'compare.json', text.encode())
  markdown = '\n'.join(map(as_markdown, shown.values()))
  write_bytes(folder / 'tables.md', markdown.encode())
  html = page.render(content, shown, files)
  write_bytes(folder / 'report.html', html.encode())
  return shown


def _beside(config: ConfigDict) -> list[dict[str, Any]]:
  """The comparison of another network, for the figure of both."""
  folder = config.compare.beside
  if not folder:
    return []
  from fsnet_jax.experiments import stored_results
  from fsnet_jax.experiments.comparison import merge

  path = Path(folder) / 'report' / 'compare.json'
  try:
    content = stored_results.read_object(path)
    merge.check_whole(content)
  except json_values.BadValue as error:
    raise UserError(
      f'config.compare.beside names {folder}, which holds no finished '
      f'comparison ({quoted(error)}): give the --workdir of one.'
    ) from error
  # A figure tells curves apart by network and data set.
  if content['network'] == config.segmentation.name:
    raise UserError(
      f'config.compare.beside names {folder}, a comparison of '
      f'{content["network"]} as this one is: give the --workdir of another '
      "network's, or leave it empty."
    )
  return [content]
