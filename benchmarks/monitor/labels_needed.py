"""How many labelled images does the failure network need?

    python -m benchmarks.monitor.labels_needed --config=configs/fsnet_fcn8.py \
        --segmentation=runs/fsnet_fcn8 --images=25,50,100,200,400,800 \
        --workdir=runs/labels --seeds=0,1,2

For each number of images: the networks of phase 3 are trained over one frozen
S, and `class_logistic` is solved, both on so many images of the training
split, and all are evaluated on the config's data sets. Without
`--segmentation`, S is trained on the same images as well; an S from elsewhere
(`configs/own.py`) is as it is. Fields are set as main.py's are, by
`--config.FIELD=VALUE`. Stop it when you like: the same command goes on. Prints
a table and leaves it as `labels.json` and a figure, `labels.png`.
"""

from __future__ import annotations

import argparse
import functools
import json
import pathlib
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ml_collections import ConfigDict

from common_lib.errors import UserError
from common_lib.files import read_json_object, write_bytes
from fsnet_jax import learned_detectors
from fsnet_jax.cli import use_compilation_cache
from fsnet_jax.config import command_line, config_file, fields, names
from fsnet_jax.evaluation import folders
from fsnet_jax.evaluation.evaluate import evaluate
from fsnet_jax.experiments import grid
from fsnet_jax.learned_detectors.corrections import phase3
from fsnet_jax.runtime import distributed
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training.from_config import trainer

_METRICS = {'auroc': 'AUROC', 'fpr95_error': 'FPR95'}
_SHOWN = ('fsnet', 'fsnet_pixel', 'class_logistic')
_COVERAGE = 'coverage_at_5_risk'


def _arguments() -> tuple[argparse.Namespace, list[str]]:
  """This command's own flags, and what is left for the config."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--config', required=True)
  parser.add_argument('--segmentation', default='')
  parser.add_argument('--images', default='25,50,100,200,400')
  parser.add_argument('--seeds', default='0')
  parser.add_argument('--workdir', required=True)
  return parser.parse_known_args()


def _cell(
  options: argparse.Namespace, config: ConfigDict, images: int, seed: int
) -> ConfigDict:
  """The run of one number of images."""
  changes: dict[str, Any] = {
    'seed': seed,
    'data.num_train': images,
    'eval.detectors': (*_SHOWN[:2], 'msp'),
  }
  if options.segmentation:
    changes |= {
      'phase1_steps': 0,
      'phase2_steps': 0,
      'init.backbone': '',
      'init.segmentation': str(pathlib.Path(options.segmentation).resolve()),
    }
  return grid.derived(config, changes)


def _run(config: ConfigDict, folder: pathlib.Path) -> Mapping[str, Any]:
  """Trains what is missing of a cell; its metrics by data set.

  Raises:
    UserError: the folder is of another config, or damaged.
    Interrupted: stopped; the same command goes on.
  """
  stored = folder / folders.REPORT / 'metrics.json'
  fit = folder.with_name(f'{folder.name}_class_logistic').resolve()
  over = grid.derived(config, {'init.phase1': str(folder.resolve())})
  # Both folders are compared with the config, whatever is finished in them.
  with open_workdir(folder, config), open_workdir(fit, over):
    if not stored.exists():
      trainer(config, folder).run()
      phase3.run(config, folder)
      learned_detectors.fit('class_logistic', over, fit)
      asked = {
        'eval.detectors': (*config.eval.detectors, 'class_logistic'),
        'eval.fitted.class_logistic': str(fit),
      }
      origin = {'config_name': 'labels needed', 'command': ''}
      evaluate(grid.derived(config, asked), folder, origin)
  return read_json_object(
    stored, what='what a cell measured', fix='delete it: it is measured again'
  )['datasets']


def _point(metrics: Sequence[Mapping[str, Any]], dataset: str) -> dict:
  """By detector: differences to MSP of each seed, and coverages, %."""
  pooled = [
    {
      name: one[dataset]['failure'][name]['pooled']
      for name in (*_SHOWN, 'msp')
      if name in one[dataset]['failure']
    }
    for one in metrics
  ]
  point: dict[str, Any] = {
    'error_rate': [
      100 * one[dataset]['segmentation']['base_error_rate'] for one in metrics
    ]
  }
  for name in pooled[0]:
    point[name] = {_COVERAGE: [100 * one[name][_COVERAGE] for one in pooled]}
    if name == 'msp':
      continue
    for metric in _METRICS:
      point[name][metric] = [
        100 * (one[name][metric] - one['msp'][metric]) for one in pooled
      ]
  return point


def _line(point: Mapping[str, Any], name: str) -> str:
  """Means over seeds: AUROC and FPR95 less MSP's, coverage."""
  if name not in point:
    return f'{name}: not trained'
  own = {key: statistics.fmean(one) for key, one in point[name].items()}
  cover = f'{own[_COVERAGE]:5.1f}'
  if name == 'msp':
    return f'{name} {cover}'
  return f'{name} {own["auroc"]:+5.1f} ; {own["fpr95_error"]:+5.1f} {cover}'


def _figure(table: Mapping[str, Mapping[int, Any]], path: pathlib.Path) -> None:
  """Both differences against the number of images, a column a data set."""
  from matplotlib.backends.backend_agg import FigureCanvasAgg
  from matplotlib.figure import Figure
  from matplotlib.style import context

  from fsnet_jax.report.figures.figure_style import STYLE

  with context(STYLE):
    figure = Figure(figsize=(2.6 * len(table), 4.4), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(table), squeeze=False, sharey='row')
    for column, (dataset, points) in enumerate(table.items()):
      for row, metric in enumerate(_METRICS):
        axis = axes[row, column]
        axis.axhline(0, color='black', linewidth=0.8)
        for name in _SHOWN:
          seen = {n: p[name][metric] for n, p in points.items() if name in p}
          means = [statistics.fmean(one) for one in seen.values()]
          axis.plot(list(seen), means, marker='o', markersize=3, label=name)
          lows, highs = zip(*((min(s), max(s)) for s in seen.values()))
          axis.fill_between(list(seen), lows, highs, alpha=0.15)
        axis.set_xscale('log')
        axis.set_xticks(list(points), [str(n) for n in points])
        axis.minorticks_off()
        axis.set_title(dataset if row == 0 else '', fontsize=9)
      axes[1, column].set_xlabel('labelled images')
    for row, title in enumerate(_METRICS.values()):
      axes[row, 0].set_ylabel(f'{title} less MSP, points')
    axes[0, 0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _work(options: argparse.Namespace, rest: Sequence[str]) -> None:
  """Runs all cells, and prints a block a data set."""
  left, overrides = command_line.split(rest, [fields.FIELDS])
  if left:
    raise UserError(f'unexpected argument {left[0]!r}: see --help.')
  base = config_file.load(options.config)
  config = command_line.with_overrides(base, overrides, {})
  use_compilation_cache(config.compilation_cache_dir)
  if options.segmentation and config.segmentation.name in names.ELSEWHERE:
    raise UserError(
      f'--segmentation={options.segmentation} names a run, but '
      f'config.segmentation.name is {config.segmentation.name!r}, an S from '
      'elsewhere: leave it out.'
    )
  workdir = pathlib.Path(options.workdir)
  seeds = [int(one) for one in options.seeds.split(',')]
  table: dict[str, dict[int, Any]] = {d: {} for d in config.eval.datasets}
  for images in map(int, options.images.split(',')):
    found = [
      _run(
        _cell(options, config, images, seed),
        workdir / f'images{images}' / f'seed{seed}',
      )
      for seed in seeds
    ]
    for dataset in table:
      table[dataset][images] = _point(found, dataset)
    write_bytes(workdir / 'labels.json', json.dumps(table).encode())
  print('AUROC ; FPR95 less MSP, points, and coverage at 5 % risk, %')
  for dataset, points in table.items():
    for images, point in points.items():
      rate = statistics.fmean(point['error_rate'])
      rest = ' | '.join(_line(point, name) for name in (*_SHOWN, 'msp'))
      print(f'{dataset} {images:5d} images, errors {rate:4.1f} | {rest}')
  _figure(table, workdir / 'labels.png')


def main() -> None:
  """As main.py: a mistake is one sentence and 2, a stopped command 75."""
  options, rest = _arguments()
  work = functools.partial(_work, options, rest)
  sys.exit(distributed.exit_code(work, None, None, None))


if __name__ == '__main__':
  main()
