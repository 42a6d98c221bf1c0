"""Arms against each other: means over seeds, paired differences, curves."""

import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from fsnet_jax.report import atomic, plots
from fsnet_jax.runtime import environment
from input_pipeline.notices import say
from segxal_jax.report import curves, over_runs, paired
from segxal_jax.report.over_runs import Cycles, Results


def table(results: Results, dataset: str) -> list[dict[str, Any]]:
  """One row an arm: end point, area under the curve, lead over the first arm.

  Args:
    results: of the cells that are done.
    dataset: a test set.

  Returns:
    For each arm `title`, `seeds`, `miou` and `area_by_<unit>`, the labelled
    pool among them, which grows even where an oracle costs nothing (each mean
    and sample deviation over seeds, None where not defined), `class_std` (the
    deviation over classes, the paper's "STD"), `iou` (by class, mean over the
    seeds where it is defined), `cost` (means), `seconds` (medians of a
    cycle's training and query), and `lead`: by unit of cost, the paired
    difference of the areas to the first arm (see `paired.compare`), over the
    budget that both have spent.
  """
  rows = []
  reference = next(iter(results), None)
  for title, by_seed in results.items():
    runs = list(by_seed.values())
    row = {'title': title, 'seeds': sorted(by_seed)}
    row['miou'] = over_runs.spread(
      [over_runs.miou(run, dataset) for run in runs]
    )
    for unit in curves.AXES:
      areas = [curves.area(curves.points(run, dataset, unit)) for run in runs]
      row[f'area_by_{unit}'] = over_runs.spread(areas)
    row['class_std'] = over_runs.spread(
      [over_runs.class_std(run, dataset) for run in runs]
    )
    row['cost'] = {
      unit: statistics.fmean(run[-1]['cost'][unit] for run in runs)
      for unit in curves.UNITS
    }
    row['iou'] = over_runs.class_iou(runs, dataset)
    row['seconds'] = _seconds(runs)
    row['lead'] = None
    if title != reference:
      row['lead'] = _lead(by_seed, results[reference], dataset)
    rows.append(row)
  return rows


def _seconds(runs: Sequence[Cycles]) -> dict[str, float | None]:
  """Medians over cycles and seeds: a compilation counts in few of them.

  A query is what comes between measuring and asking: companions' training,
  scores and choice.
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


def markdown(rows: Sequence[Mapping[str, Any]], dataset: str) -> str:
  """The tables for a person: budgets, paired tests, classes."""
  return '\n'.join(
    [
      f'{dataset}, in %: mean ± deviation over seeds',
      '',
      *_budget_table(rows),
      '',
      f'Lead over {rows[0]["title"]}, area under the curve over the budget '
      'that both spent: mean ± 95 % interval, seeds ahead, two-sided p of '
      "Student's paired test",
      '',
      *_lead_table(rows),
      '',
      'IoU of each class after the last cycle, mean over seeds',
      '',
      *_class_table(rows),
      '',
    ]
  )


def _budget_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  cells = [
    [
      row['title'],
      str(len(row['seeds'])),
      over_runs.cell(row['miou']),
      *(over_runs.cell(row[f'area_by_{unit}']) for unit in curves.AXES),
      over_runs.cell(row['class_std']),
      *(f'{row["cost"][unit]:,.0f}' for unit in curves.UNITS),
      *(_seconds_cell(row['seconds'][name]) for name in ('train', 'query')),
    ]
    for row in rows
  ]
  heads = [
    'arm',
    'seeds',
    'mIoU at the end',
    *(f'area by {unit}' for unit in curves.AXES),
    'deviation over classes',
    *curves.UNITS,
    's a training',
    's a query',
  ]
  return _lines(heads, cells)


def _lead_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  cells = [
    [row['title'], *(_lead_cell(row['lead'][unit]) for unit in curves.AXES)]
    for row in rows
    if row['lead'] is not None
  ]
  return _lines(['arm', *(f'by {unit}' for unit in curves.AXES)], cells)


def _class_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
  names = list(rows[0]['iou'])
  cells = [
    [row['title'], *(over_runs.percent(row['iou'].get(name)) for name in names)]
    for row in rows
  ]
  return _lines(['arm', *map(str, names)], cells)


def _lines(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
  rows = [list(heads), ['---'] * len(heads), *cells]
  return [f'| {" | ".join(row)} |' for row in rows]


def _seconds_cell(value: float | None) -> str:
  return over_runs.UNDEFINED if value is None else f'{value:.1f}'


def _lead_cell(lead: Mapping[str, Any] | None) -> str:
  if lead is None:
    return over_runs.UNDEFINED
  text = f'{100 * lead["mean"]:+.2f}'
  if lead['half_width'] is None:
    return f'{text} (one seed)'
  text += f' ± {100 * lead["half_width"]:.2f}'
  text += f', {lead["ahead"]} of {lead["seeds"]}'
  return text if lead['p_value'] is None else f'{text}, p {lead["p_value"]:.2g}'


def write(
  config: Any, workdir: Path, results: Results, origin: Mapping[str, str]
) -> None:
  """Writes comparison.json, comparison.md and the curves; process 0 alone."""
  if jax.process_index() > 0:
    return
  folder = workdir / 'report'
  folder.mkdir(parents=True, exist_ok=True)
  if not results:
    say('no cell is done yet')
    return
  content: dict[str, Any] = {
    'schema': 1,
    'task': 'segxal_compare',
    'config': config.to_dict(),
    'environment': environment.describe() | dict(origin),
    'datasets': {},
  }
  texts = []
  for number, dataset in enumerate(config.eval.datasets):
    rows = table(results, dataset)
    content['datasets'][dataset] = rows
    texts.append(markdown(rows, dataset))
    drawn = [
      curves.Curve(
        title, [curves.by_axis(run, dataset) for run in runs.values()]
      )
      for title, runs in results.items()
    ]
    figure = plots.to_png(curves.figure(drawn, None))
    atomic.write_bytes(folder / f'curves_{number}.png', figure)
  text = '\n'.join(texts)
  atomic.write_bytes(folder / 'comparison.md', text.encode())
  atomic.write_bytes(
    folder / 'comparison.json', (json.dumps(content, indent=2) + '\n').encode()
  )
  print(text)
  say(f'report: {folder / "comparison.md"}')
