"""One table from runs that differ only in their seed: mean and spread.

    python -m fsnet_jax.report.seeds runs/seed0 runs/seed1 runs/seed2

Each measure is shown as mean ± sample standard deviation over the runs, and
every detector but the reference with its paired difference on AUROC: both
come from the same network S of the same seed, so the difference spreads far
less than the values do.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common_lib import interrupts
from common_lib.errors import UserError
from fsnet_jax.report import measures

_SHOWN = ('ap_error', 'ap_success', 'auroc', 'fpr95_error', 'aurc')
# What may differ between runs of one table: the seed and where they live.
_FREE_FIELDS = ('seed', 'compilation_cache_dir')


def load_runs(workdirs: Sequence[Path]) -> list[Mapping[str, Any]]:
  """Reads the metrics of finished runs of one protocol.

  Args:
    workdirs: folders of runs, or the metrics.json files themselves.

  Returns:
    One `metrics.json` dictionary for each run, by seed.

  Raises:
    UserError: a file is missing or damaged, two runs have one seed, or the
      configs differ in more than the seed.
  """
  runs = [_load(Path(workdir)) for workdir in workdirs]
  seeds = [run['config'].get('seed') for run in runs]
  if len(set(seeds)) < len(seeds):
    raise UserError(
      f'The runs have seeds {seeds}: give each seed once, a repeated one '
      'would make the spread too small.'
    )
  for workdir, run in zip(workdirs[1:], runs[1:], strict=True):
    field = _first_difference(runs[0]['config'], run['config'])
    if field:
      raise UserError(
        f'{workdirs[0]} and {workdir} differ in config.{field}: only runs of '
        'one config with different seeds belong in one table.'
      )
  return sorted(runs, key=lambda run: run['config']['seed'])


def _load(workdir: Path) -> Mapping[str, Any]:
  path = workdir if workdir.is_file() else workdir / 'report/metrics.json'
  try:
    run = json.loads(path.read_text())
    return run if run['config'] and run['datasets'] else {}
  except OSError:
    raise UserError(
      f'{path} cannot be read: name the workdir of a finished run.'
    ) from None
  except (ValueError, KeyError, TypeError):
    raise UserError(
      f'{path} is no metrics.json of a run: evaluate the run again.'
    ) from None


def _first_difference(
  one: Any, other: Any, path: tuple[str, ...] = ()
) -> str | None:
  """Dotted name of a field that differs, or None."""
  if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
    return '.'.join(path) if one != other else None
  for key in sorted({*one, *other}):
    if path or key not in _FREE_FIELDS:
      found = _first_difference(one.get(key), other.get(key), (*path, key))
      if found:
        return found
  return None


def mean_and_spread(
  values: Sequence[measures.Value], measure: measures.Measure
) -> str:
  """`mean ± sample standard deviation`, scaled; a dash if any is undefined."""
  if any(value is None for value in values):
    return measures.UNDEFINED
  scaled = [float(value) * measure.scale for value in values]
  mean = f'{statistics.fmean(scaled):.2f}'
  if len(scaled) < 2:
    return mean
  return f'{mean} ± {statistics.stdev(scaled):.2f}'


def _lead(
  runs: Sequence[Mapping[str, Any]], dataset: str, name: str, reference: str
) -> str:
  """Paired AUROC difference to the reference, and in how many runs it leads."""
  if name == reference:
    return ''
  measure = measures.BY_KEY['auroc']
  pairs = [
    (
      run['datasets'][dataset]['failure'][name]['pooled']['auroc'],
      run['datasets'][dataset]['failure'][reference]['pooled']['auroc'],
    )
    for run in runs
  ]
  if any(value is None for pair in pairs for value in pair):
    return measures.UNDEFINED
  gaps = [mine - other for mine, other in pairs]
  ahead = sum(gap > 0 for gap in gaps)
  return f'{mean_and_spread(gaps, measure)} ({ahead} of {len(gaps)})'


def markdown_table(
  runs: Sequence[Mapping[str, Any]], reference: str = 'msp'
) -> str:
  """The table in Markdown, one block for each data set.

  Args:
    runs: as `load_runs` returns them.
    reference: detector that the others are paired with.
  """
  shown = [measures.BY_KEY[key] for key in _SHOWN]
  lines = []
  for dataset, first in runs[0]['datasets'].items():
    segmentation = [run['datasets'][dataset]['segmentation'] for run in runs]
    facts = ', '.join(
      f'{title} {mean_and_spread([s[key] for s in segmentation], measure)}'
      for title, key, measure in (
        ('error rate', 'base_error_rate', measures.BY_KEY['base_error_rate']),
        ('mIoU', 'miou', measures.BY_KEY['miou']),
      )
    )
    titles = [measure.title for measure in shown]
    lines += [
      f'{dataset}: {first["images"]} images, {len(runs)} seeds, {facts}',
      '',
      f'| detector | {" | ".join(titles)} | AUROC against '
      f'{measures.detector_title(reference)} |',
      '|' + '---|' * (len(shown) + 2),
    ]
    for name in first['failure']:
      pooled = [
        run['datasets'][dataset]['failure'][name]['pooled'] for run in runs
      ]
      cells = [
        mean_and_spread([entry[measure.key] for entry in pooled], measure)
        for measure in shown
      ]
      lead = _lead(runs, dataset, name, reference)
      lines.append(
        f'| {measures.detector_title(name)} | {" | ".join(cells)} | {lead} |'
      )
    lines.append('')
  return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the table; 2 with one sentence on a mistake."""
  parser = argparse.ArgumentParser(
    prog='python -m fsnet_jax.report.seeds',
    description='Mean and spread over runs that differ only in their seed.',
  )
  parser.add_argument('workdirs', nargs='+', type=Path, metavar='WORKDIR')
  parser.add_argument('--reference', default='msp', metavar='DETECTOR')
  args = parser.parse_args(argv)
  try:
    runs = load_runs(args.workdirs)
    for dataset, entry in runs[0]['datasets'].items():
      if args.reference not in entry['failure']:
        raise UserError(
          f'--reference={args.reference} was not evaluated on {dataset}: '
          f'choose one of {", ".join(entry["failure"])}.'
        )
  except UserError as error:
    print(f'error: {error}', file=sys.stderr)
    return 2
  print(markdown_table(runs, args.reference))
  return 0


if __name__ == '__main__':
  interrupts.watch()
  sys.exit(main())
