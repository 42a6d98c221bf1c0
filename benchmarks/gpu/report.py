"""The parts of a run of `benchmarks/gpu.sh` as one JSON file and as tables.

    python -m benchmarks.gpu.report runs/gpu

Reads what the parts left in the folder, and writes `gpu.json` and `gpu.md`
there. A part without rows has one that says why. Exit code 1 if a part failed,
was stopped or was not reached.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.subjects.tables import table

# By GNU timeout: it stopped the command, or had to kill it.
_STOPPED = (124, 137)
Row = Mapping[str, Any]


def outcome(code: str, log: str, limit: str) -> str:
  """How a part ended, in a few words.

  Args:
    code: its exit code, or 'budget' if it was not begun.
    log: what it printed.
    limit: its seconds.
  """
  if code == 'budget':
    return 'not begun: the time was used up'
  if code == '0':
    return 'done'
  if int(code) in _STOPPED:
    return f'stopped after {limit} s'
  lines = log.strip().splitlines() or ['it printed nothing']
  return f'failed ({code}): {lines[-1][:160]}'


def read(folder: Path) -> dict[str, Any]:
  """All that a run left: the machine, its parts, and their rows by part."""
  parts, results = [], {}
  lines = (folder / 'parts.tsv').read_text().splitlines()
  for name, code, seconds, limit in (line.split('\t') for line in lines):
    log = folder / f'{name}.log'
    said = log.read_text(errors='replace') if log.exists() else ''
    ended = outcome(code, said, limit)
    parts.append(
      {'part': name, 'outcome': ended, 'seconds': int(seconds), 'limit': limit}
    )
    path = folder / f'{name}.json'
    if path.exists():
      results[name] = json.loads(path.read_text())
  machine = json.loads((folder / 'machine.json').read_text())
  return {'machine': machine, 'parts': parts, 'results': results}


def _number(value: float | None, form: str) -> str:
  return '' if value is None else format(value, form)


def machine_lines(machine: Row) -> str:
  """A paragraph on what a run is of."""
  skipped = ('device', 'without', 'date', 'commit')
  parts = [f'{k} {v}' for k, v in machine.items() if v and k not in skipped]
  about = f'{machine["device"]}, {machine["date"]}'
  if machine['commit']:
    about += f', commit {machine["commit"]}'
  return ' '.join([f'{about}; {", ".join(parts)}.', *machine['without']])


def correctness_table(result: Row) -> str:
  """An output a row; columns are against whom, and how precisely."""
  columns = [
    ('CPU here', 'highest'),
    ('carried', 'highest'),
    ('CPU here', 'default'),
    ('carried', 'default'),
  ]
  cells: dict[str, dict[tuple[str, str], str]] = {}
  for row in result['rows']:
    said = row.get('failed') or f'{row["difference"]:.1e}'
    at = row['against'], row['precision']
    cells.setdefault(row.get('output', 'all'), {})[at] = said
  return table(
    ['output', *(f'{who}, {precision}' for who, precision in columns)],
    ([name, *(own.get(c, '') for c in columns)] for name, own in cells.items()),
  )


def training_table(results: Mapping[str, Row]) -> str:
  """Contenders of every training step."""
  rows = []
  for result in results.values():
    for one in result['tables']:
      about = [f'{one["title"]}, phase {one["phase"]}']
      about.append(result['settings']['dtype'])
      for row in one['rows']:
        if 'failed' in row:
          rows.append([*about, row['contender'], row['failed'], *[''] * 6])
          continue
        share = row['peak_share']
        rows.append(
          [
            *about,
            row['contender'],
            f'{row["median_ms"]:.2f}',
            f'{row["fastest_ms"]:.2f}',
            _number(row['ratio'], '.2f'),
            f'{row["images_per_s"]:.1f}',
            _number(share, '.1%'),
            f'{row["gib"]:.2f}',
            f'{row["compile_s"]:.1f}',
          ]
        )
  columns = 'step|type|contender|median, ms|fastest|ratio|images/s|of peak|GiB'
  return table([*columns.split('|'), 'compile, s'], rows)


def latency_table(result: Row) -> str:
  """A monitor a row."""
  rows = []
  for row in result['rows']:
    if 'failed' in row:
      rows.append(['', '', '', row['contender'], row['failed'], ''])
      continue
    about = [row[name] for name in ('monitor', 'dtype', 'batch', 'contender')]
    times = [f'{row["median_ms"]:.2f}', f'{row["fastest_ms"]:.2f}']
    rows.append([*about, *times])
  columns = ('monitor', 'type', 'images', 'contender', 'median, ms', 'fastest')
  return table(columns, rows)


def metrics_table(result: Row) -> str:
  """A way to count a row."""
  return table(
    ['way', 'seconds', 'Mpx/s', 'ratio', 'largest error'],
    (
      [
        row['way'],
        f'{row["seconds"]:.3f}',
        f'{row["pixels_per_s"] / 1e6:.1f}',
        f'{row["ratio"]:.1f}',
        _number(row.get('largest_error'), '.1e'),
      ]
      for row in result['rows']
    ),
  )


def markdown(run: Mapping[str, Any]) -> str:
  """The page's tables; those of parts without rows are left out."""
  results = run['results']
  blocks = [
    machine_lines(run['machine']),
    table(
      ['part', 'outcome', 'seconds', 'limit'],
      (list(part.values()) for part in run['parts']),
    ),
  ]
  if 'correctness' in results:
    blocks += ['### Outputs against a CPU']
    blocks += [correctness_table(results['correctness'])]
  training = {k: v for k, v in results.items() if k.startswith('train-')}
  if training:
    blocks += ['### Training step', training_table(training)]
    blocks += [_peaks(training)]
  if 'latency' in results:
    own = results['latency']
    height, width = own['image_size']
    title = f'### Monitor, FCN8 {own["width"]:g} at {height}x{width}'
    blocks += [title, latency_table(own)]
    blocks += [f'Peak memory of all of ours: {own["gib"]:.2f} GiB.']
  if 'metrics' in results:
    own = results['metrics']
    blocks += [f'### Failure metrics of {own["pixels"]:,} pixels']
    blocks += [metrics_table(own), f'Peak memory: {own["gib"]:.2f} GiB.']
  return '\n\n'.join(blocks) + '\n'


def _peaks(training: Mapping[str, Row]) -> str:
  """The measured peaks, the best of each type."""
  best: dict[str, float] = {}
  for result in training.values():
    dtype = result['settings']['dtype']
    for one in result['tables']:
      best[dtype] = max(best.get(dtype, 0.0), one['peak'])
  peaks = [f'{v / 1e12:.4g} Tflop/s in {k}' for k, v in best.items()]
  return f'Peak of matrix products: {", ".join(peaks)}.'


def main() -> int:
  """Writes both files, and prints the tables."""
  if len(sys.argv) != 2:
    print('error: name the folder of one run', file=sys.stderr)
    return 2
  folder = Path(sys.argv[1])
  if not (folder / 'parts.tsv').exists():
    print(
      f'error: no part was run in {folder}: look at --parts', file=sys.stderr
    )
    return 2
  run = read(folder)
  (folder / 'gpu.json').write_text(json.dumps(run, indent=1) + '\n')
  text = markdown(run)
  (folder / 'gpu.md').write_text(text)
  print(text)
  return int(any(part['outcome'] != 'done' for part in run['parts']))


if __name__ == '__main__':
  sys.exit(main())
