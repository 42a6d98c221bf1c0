"""Methods against each other: means over seeds, paired differences, curves."""

import functools
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from ml_collections import ConfigDict

from common_lib.console import say, show
from common_lib.errors import UserError
from common_lib.files import write_bytes
from fsnet_jax.experiments.grid import Cell
from fsnet_jax.report.figures import plots
from fsnet_jax.report.pages.table import Table, as_markdown, as_text
from fsnet_jax.runtime import environment
from input_pipeline.sources import Source
from segxal_jax.config import builders
from segxal_jax.loop import cycle_files
from segxal_jax.queries.asked_sequences import MOST_SEQUENCES, Sequences
from segxal_jax.queries.error_counts import Counts
from segxal_jax.report import (
  across_runs,
  comparison_tables,
  curves,
  error_shares,
  paired,
  person_time,
)
from segxal_jax.report.across_runs import Cycles, Results


def table(
  results: Results, dataset: str, secs_a_click: float = 0.0
) -> list[dict[str, Any]]:
  """One row a method: end point, area under the curve, lead over the first.

  Args:
    results: of the cells that are done.
    dataset: a test set.
    secs_a_click: what a click is estimated to take; 0 estimates nothing.

  Returns:
    For each method `title`, `seeds`, `miou` and `area_by_<unit>`, the labelled
    pool among them, which grows even where an oracle costs nothing (each mean
    and sample deviation over seeds, None where not defined), `class_std` (the
    deviation over classes, the paper's "STD"), `near` (see `_near`), `iou` (by
    class, mean over the seeds where it is defined), `cost` (means), `time`
    (means of `person_time.of_cost`), `seconds` (medians of a cycle's training
    and query), and `lead`: by unit of cost, the paired difference of the areas
    to the first method (see `paired.compare`), over the budget that both have
    spent.
  """
  rows = []
  baseline = next(iter(results), None)
  every = [run for by_seed in results.values() for run in by_seed.values()]
  meters = across_runs.near_meters(every, dataset)
  for title, by_seed in results.items():
    runs = list(by_seed.values())
    row: dict[str, Any] = {'title': title, 'seeds': sorted(by_seed)}
    row['miou'] = across_runs.spread(
      [across_runs.miou(run, dataset) for run in runs]
    )
    for unit in curves.AXES:
      areas = [curves.area(curves.points(run, dataset, unit)) for run in runs]
      row[f'area_by_{unit}'] = across_runs.spread(areas)
    row['class_std'] = across_runs.spread(
      [across_runs.class_std(run, dataset) for run in runs]
    )
    first = {} if title == baseline else results.get(baseline or '', {})
    row['near'] = _near(by_seed, first, dataset, meters)
    row['cost'] = {
      unit: statistics.fmean(run[-1]['cost'][unit] for run in runs)
      for unit in curves.UNITS
    }
    row['time'] = _time(runs, secs_a_click)
    row['iou'] = across_runs.class_iou(runs, dataset)
    row['seconds'] = _seconds(runs)
    row['lead'] = None
    if baseline is not None and title != baseline:
      row['lead'] = _lead(by_seed, results[baseline], dataset)
    rows.append(row)
  return rows


def _near(
  mine: Mapping[int, Cycles],
  other: Mapping[int, Cycles],
  dataset: str,
  meters: float | None,
) -> dict[str, Any]:
  """The pixels near the camera after the last cycle.

  Args:
    mine: runs of the method, by seed.
    other: those of the first method; none for that itself.
    dataset: a test set.
    meters: of `across_runs.near_meters`.

  Returns:
    `meters`, `miou` (mean and sample deviation) and `lead`, the paired
    difference to the first method; None where not defined.
  """

  def values(runs: Mapping[int, Cycles]) -> dict[int, float | None]:
    return {
      seed: across_runs.near_miou(run[-1]['datasets'][dataset], meters)
      for seed, run in runs.items()
    }

  ours, theirs = values(mine), values(other)
  gaps = [
    (ours[seed], theirs[seed]) for seed in sorted(ours.keys() & theirs.keys())
  ]
  return {
    'meters': meters,
    'miou': across_runs.spread(list(ours.values())),
    'lead': paired.compare(
      [a - b for a, b in gaps if a is not None and b is not None]
    ),
  }


def _time(
  runs: Sequence[Cycles], secs_a_click: float
) -> dict[str, float | None]:
  """Of people, after the last cycle; means, None where one run has none."""
  times = [person_time.of_cost(run[-1]['cost'], secs_a_click) for run in runs]
  return {
    name: across_runs.spread([time[name] for time in times])['mean']
    for name in ('measured', 'estimated')
  }


def _seconds(runs: Sequence[Cycles]) -> dict[str, float | None]:
  """Medians over cycles and seeds: a compilation counts in few of them.

  A query is what comes between measuring and annotating: the training of
  auxiliary models, scores and selection.
  """
  times: dict[str, list[float]] = {'train': [], 'query': []}
  for run in runs:
    for entry in run:
      stages = entry.get('seconds', {})
      if 'train' in stages:
        times['train'].append(stages['train'])
      if 'explain' in stages and 'query' in stages:
        times['query'].append(stages['explain'] + stages['query'])
  return {
    name: statistics.median(values) if values else None
    for name, values in times.items()
  }


def _lead(
  mine: Mapping[int, Cycles], other: Mapping[int, Cycles], dataset: str
) -> dict[str, Any]:
  """By unit of cost, paired over the seeds that both have."""
  seeds = sorted(mine.keys() & other.keys())
  leads = {}
  for unit in curves.AXES:
    gaps = [curves.gap(mine[s], other[s], dataset, unit) for s in seeds]
    leads[unit] = paired.compare([gap for gap in gaps if gap is not None])
  return leads


def write(
  config: ConfigDict,
  workdir: Path,
  cells: Sequence[Cell],
  results: Results,
  origin: Mapping[str, str],
) -> None:
  """Writes report.html, comparison.json, .md and curves; process 0 alone.

  Args:
    config: of the comparison.
    workdir: its folder.
    cells: of the comparison.
    results: of those that are done.
    origin: `config_name` and `command`.
  """
  if jax.process_index() > 0:
    return
  folder = workdir / 'report'
  folder.mkdir(parents=True, exist_ok=True)
  if not results:
    say('no cell is done yet')
    return
  counts = _errors(config, workdir, cells, results)
  asked = _asked(config, workdir, cells, results)
  content: dict[str, Any] = {
    'schema': 1,
    'task': 'segxal_compare',
    'config': config.to_dict(),
    'environment': environment.describe() | dict(origin),
    'datasets': {},
    'error_shares': {name: of.shares() for name, of in counts.items()},
    'sequences': asked,
  }
  secs_a_click = config.oracle.secs_a_click
  tables: list[Table] = []
  figures: dict[str, bytes] = {}
  for dataset in config.eval.datasets:
    rows = table(results, dataset, secs_a_click)
    content['datasets'][dataset] = rows
    tables += comparison_tables.of_dataset(rows, dataset)
    drawn = [
      curves.Curve(
        title, [curves.by_axis(run, dataset) for run in runs.values()]
      )
      for title, runs in results.items()
    ]
    figures[dataset] = plots.to_png(curves.figure(drawn, None, secs_a_click))
  tables += comparison_tables.asked_sequences(asked)
  tables += comparison_tables.error_shares(counts)
  _write_files(folder, content, tables, figures)
  show('\n\n'.join(map(as_text, tables)))
  say(f'report: {folder / "report.html"}')


def _write_files(
  folder: Path,
  content: Mapping[str, Any],
  tables: Sequence[Table],
  figures: Mapping[str, bytes],
) -> None:
  """The page and what else a report has."""
  shown = [*tables, *comparison_tables.published()]
  files = {
    'comparison.md': '\n'.join(map(as_markdown, shown)).encode(),
    'comparison.json': (json.dumps(content, indent=2) + '\n').encode(),
    'report.html': comparison_tables.page(content, shown, figures).encode(),
    **{f'curves_{n}.png': png for n, png in enumerate(figures.values())},
  }
  for name, file in files.items():
    write_bytes(folder / name, file)


def _errors(
  config: ConfigDict, workdir: Path, cells: Sequence[Cell], results: Results
) -> dict[str, Counts]:
  """By title of the method, where its predictions' errors lay.

  Nothing else of a report needs the labels of the pool, and this only for cells
  that asked before they wrote it down: where the images are gone it is without
  those, with a note.
  """

  @functools.cache
  def pool() -> Source | None:
    try:
      return builders.pool_source(config)
    except UserError as error:
      say(
        f'note: {error} The report is without what the maps of older cells '
        'know of the errors'
      )
      return None

  return error_shares.by_title(cells, results, workdir, pool)


def _asked(
  config: ConfigDict, workdir: Path, cells: Sequence[Cell], results: Results
) -> dict[str, dict[str, float]]:
  """Shares of the pool's sequences, and of those each method asked about.

  Returns:
    By title of the method, the pool's own last; empty where the pool is of one
    sequence or very many, or its images are gone.
  """
  folders: dict[str, list[Path]] = {}
  for cell in cells:
    for entry in results.get(cell.title, {}).get(cell.number) or ():
      folder = cycle_files.folder_of(cell.place(workdir), entry['cycle'])
      folders.setdefault(cell.title, []).append(folder / 'questions')
  try:
    known = Sequences(builders.pool_source(config))
  except UserError:
    return {}
  whole = known.of_pool()
  if not 1 < len(whole) <= MOST_SEQUENCES:
    return {}
  found = {title: known.of_questions(own) for title, own in folders.items()}
  asked = {title: own for title, own in found.items() if own}
  return asked | {comparison_tables.POOL: whole} if asked else {}
