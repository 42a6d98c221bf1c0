"""Arms against each other: means over seeds, paired differences, curves."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fsnet_jax.report import atomic, plots
from fsnet_jax.runtime import environment
from input_pipeline.notices import say
from segxal_jax.report import curves

Cycles = Sequence[Mapping[str, Any]]
# By arm's title and seed.
Results = Mapping[str, Mapping[int, Cycles]]

# Two-sided 95 % of Student's t by degrees of freedom.
_STUDENT_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def table(results: Results, dataset: str) -> list[dict[str, Any]]:
  """One row an arm: end point, area under the curve, lead over the first arm.

  Args:
    results: of the cells that are done.
    dataset: a test set.

  Returns:
    For each arm `title`, `seeds`, `miou` and `area_by_<unit>` (each mean and
    sample deviation over seeds, None where not defined), `class_std` (the
    deviation over classes, the paper's "STD"), `cost` (means), and `lead`:
    the paired difference of `area_by_pixels` (of `area_by_images` where
    nothing was paid in pixels) to the first arm with its 95 % interval.
  """
  rows = []
  reference = next(iter(results), None)
  for title, by_seed in results.items():
    runs = list(by_seed.values())
    row = {'title': title, 'seeds': sorted(by_seed)}
    row['miou'] = _spread([_last(run, dataset) for run in runs])
    for unit in curves.UNITS:
      areas = [curves.area(curves.points(run, dataset, unit)) for run in runs]
      row[f'area_by_{unit}'] = _spread(areas)
    row['class_std'] = _spread([_class_std(run, dataset) for run in runs])
    row['cost'] = {
      unit: statistics.fmean(run[-1]['cost'][unit] for run in runs)
      for unit in curves.UNITS
    }
    row['lead'] = None
    if title != reference:
      row['lead'] = _lead(by_seed, results[reference], dataset)
    rows.append(row)
  return rows


def _last(run: Cycles, dataset: str) -> float | None:
  return run[-1]['datasets'][dataset]['segmentation']['miou']


def _class_std(run: Cycles, dataset: str) -> float | None:
  iou = run[-1]['datasets'][dataset]['segmentation']['iou']
  known = [value for value in iou.values() if value is not None]
  return statistics.pstdev(known) if known else None


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
  known = [value for value in values if value is not None]
  if len(known) < len(values) or not known:
    return {'mean': None, 'std': None}
  std = statistics.stdev(known) if len(known) > 1 else None
  return {'mean': statistics.fmean(known), 'std': std}


def _lead(
  mine: Mapping[int, Cycles], other: Mapping[int, Cycles], dataset: str
) -> dict[str, Any] | None:
  """Paired over the seeds that both have."""
  gaps = []
  for seed in sorted(mine.keys() & other.keys()):
    gap = curves.gap(mine[seed], other[seed], dataset, 'images')
    if gap is not None:
      gaps.append(gap)
  if not gaps:
    return None
  mean = statistics.fmean(gaps)
  if len(gaps) < 2:
    return {'mean': mean, 'half_width': None, 'seeds': len(gaps)}
  freedom = len(gaps) - 1
  factor = _STUDENT_95[freedom - 1] if freedom <= len(_STUDENT_95) else 1.96
  half = factor * statistics.stdev(gaps) / math.sqrt(len(gaps))
  return {'mean': mean, 'half_width': half, 'seeds': len(gaps)}


def markdown(rows: Sequence[Mapping[str, Any]], dataset: str) -> str:
  """The table for a person."""
  lines = [
    f'{dataset}, in %: mean ± deviation over seeds',
    '',
    '| arm | seeds | mIoU at the end | area by images | area by pixels | '
    'area by clicks | deviation over classes | images | pixels | clicks | '
    f'lead over {rows[0]["title"]}, area by images, 95 % interval |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ]
  for row in rows:
    cells = [
      row['title'],
      str(len(row['seeds'])),
      _cell(row['miou']),
      *(_cell(row[f'area_by_{unit}']) for unit in curves.UNITS),
      _cell(row['class_std']),
      *(f'{row["cost"][unit]:,.0f}' for unit in curves.UNITS),
      _lead_cell(row['lead']),
    ]
    lines.append(f'| {" | ".join(cells)} |')
  return '\n'.join(lines) + '\n'


def _cell(value: Mapping[str, float | None]) -> str:
  if value['mean'] is None:
    return '\N{EM DASH}'
  text = f'{100 * value["mean"]:.2f}'
  return text if value['std'] is None else f'{text} ± {100 * value["std"]:.2f}'


def _lead_cell(lead: Mapping[str, Any] | None) -> str:
  if lead is None:
    return ''
  text = f'{100 * lead["mean"]:+.2f}'
  if lead['half_width'] is None:
    return f'{text} (one seed)'
  return f'{text} ± {100 * lead["half_width"]:.2f}'


def write(
  config: Any, workdir: Path, results: Results, origin: Mapping[str, str]
) -> None:
  """Writes comparison.json, comparison.md and the curves."""
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
      curves.Curve(title, [_by_unit(run, dataset) for run in runs.values()])
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


def _by_unit(run: Cycles, dataset: str) -> dict[str, list[tuple[float, float]]]:
  return {unit: curves.points(run, dataset, unit) for unit in curves.UNITS}
