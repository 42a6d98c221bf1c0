"""The report of the baselines: shares of the pool, and folds of all of it."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from common_lib.console import say, show
from common_lib.files import write_bytes
from fsnet_jax.report.figures import plots
from fsnet_jax.report.pages.table import Table, as_markdown, as_text
from fsnet_jax.runtime import environment
from segxal_jax.pool import stratified_folds
from segxal_jax.report import across_runs, baseline_tables, curves
from segxal_jax.report.across_runs import Results
from segxal_jax.report.pages import tables_page


def content(
  config: ConfigDict, results: Results, facts: Mapping[str, Any]
) -> dict[str, Any]:
  """The contents of metrics.json.

  Args:
    config: of the grid.
    results: of the cells that are done.
    facts: of the environment.

  Returns:
    Beside the head of every such file `datasets`: for each test set, and for
    `held_out_fold`, a row for each title: `title`, `runs` (seeds or folds),
    `images` (labelled, mean), `pool_images`, `miou` and `class_std` (mean and
    sample deviation over runs; 0 to 1), `miou_of_runs`, `iou` (by class, mean
    over the runs where it occurs), `folds` (whether the runs are folds).
  """
  return {
    'schema': 1,
    'task': 'segxal_reference',
    'config': config.to_dict(),
    'environment': dict(facts),
    'datasets': {
      name: rows
      for name in (*config.eval.datasets, stratified_folds.HELD_OUT)
      if (rows := _rows(results, name))
    },
  }


def _rows(results: Results, dataset: str) -> list[dict[str, Any]]:
  """Of all that was tested on a data set."""
  rows = []
  for title, by_number in results.items():
    numbers = sorted(by_number)
    runs = [by_number[number] for number in numbers]
    if dataset not in runs[0][-1]['datasets']:
      continue
    last = [run[-1] for run in runs]
    mious = [across_runs.miou(run, dataset) for run in runs]
    rows.append(
      {
        'title': title,
        'folds': stratified_folds.HELD_OUT in last[0]['datasets'],
        'runs': numbers,
        'images': statistics.fmean(e['labelled_images'] for e in last),
        'pool_images': statistics.fmean(e['pool_images'] for e in last),
        'miou': across_runs.spread(mious),
        'miou_of_runs': mious,
        'class_std': across_runs.spread(
          [across_runs.class_std(run, dataset) for run in runs]
        ),
        'iou': across_runs.class_iou(runs, dataset),
      }
    )
  return rows


def curve(results: Results, dataset: str) -> curves.Curve | None:
  """mIoU against the price of random images; None where no share is done."""
  by_seed: dict[int, dict[str, list[tuple[float, float]]]] = {}
  for by_number in results.values():
    for seed, run in by_number.items():
      last = run[-1]
      value = across_runs.miou(run, dataset)
      if stratified_folds.HELD_OUT in last['datasets'] or value is None:
        continue
      points = by_seed.setdefault(seed, {unit: [] for unit in curves.UNITS})
      for unit in curves.UNITS:
        points[unit].append((float(last['cost'][unit]), value))
  runs = [
    {unit: sorted(pairs) for unit, pairs in points.items()}
    for points in by_seed.values()
  ]
  return curves.Curve('random images, labelled whole', runs) if runs else None


def write(
  config: ConfigDict, workdir: Path, results: Results, origin: Mapping[str, str]
) -> None:
  """Writes metrics.json, tables.md, report.html and curves; process 0 alone."""
  if jax.process_index() > 0:
    return
  folder = workdir / 'report'
  folder.mkdir(parents=True, exist_ok=True)
  if not results:
    say('no cell is done yet')
    return
  found = content(config, results, environment.describe() | dict(origin))
  tables = baseline_tables.all_tables(found)
  files: dict[str, bytes] = {}
  for number, dataset in enumerate(config.eval.datasets):
    drawn = curve(results, dataset)
    if drawn is not None:
      figure = curves.figure([drawn], None)
      files[f'curves_{number}.png'] = plots.to_png(figure)
  text = '\n'.join(map(as_markdown, tables))
  html = _page(found, tables, _captions(config.eval.datasets, files))
  files['report.html'] = html.encode()
  files['tables.md'] = text.encode()
  files['metrics.json'] = (json.dumps(found, indent=2) + '\n').encode()
  for name, file in files.items():
    write_bytes(folder / name, file)
  show('\n\n'.join(map(as_text, tables[:1])))
  say(f'report: {folder / "report.html"}')


def _page(
  found: Mapping[str, Any],
  tables: Sequence[Table],
  drawn: Sequence[tuple[str, bytes]],
) -> str:
  """The page of the baselines."""
  options = found['config']['reference']
  return tables_page.page(
    tables_page.Words(
      kicker='Baselines of active learning',
      introduction='Random shares of the pool, labelled whole, and the whole '
      'pool in stratified folds, each tested on by the network that was not '
      'trained on it: the baselines of every strategy.',
      caption='of random images labelled whole; the band is the deviation over '
      'seeds',
      files='metrics.json',
      markdown='tables.md',
    ),
    found,
    {
      'Seeds': ', '.join(map(str, options['seeds'])),
      'Folds': str(options['folds']),
    },
    tables,
    drawn,
  )


def _captions(
  datasets: Sequence[str], files: Mapping[str, bytes]
) -> Sequence[tuple[str, bytes]]:
  """The curves' files by their data set."""
  return [
    (dataset, files[f'curves_{number}.png'])
    for number, dataset in enumerate(datasets)
    if f'curves_{number}.png' in files
  ]
