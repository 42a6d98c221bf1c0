"""One table from runs that differ only in their seed: mean and spread.

    python -m fsnet_jax.report.seeds runs/seed0 runs/seed1 runs/seed2

Each measure is shown as mean ± sample standard deviation over the runs, and
every detector but the reference with its paired difference on AUROC: both
come from the same network S of the same seed, so the difference spreads far
less than the values do.
"""

import argparse
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common_lib import interrupts, json_values
from common_lib.console import show
from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.config import fields
from fsnet_jax.report import measures, metrics_json

_SHOWN = ('ap_error', 'ap_success', 'auroc', 'fpr95_error', 'aurc')
# What runs of one table share: all that decides anything, but for the seed.
_FIXED = ~fields.NOTHING


def load_runs(workdirs: Sequence[Path]) -> list[Mapping[str, Any]]:
  """Reads the metrics of finished runs of one protocol.

  Args:
    workdirs: folders of runs or of evaluations, or the metrics.json files
      themselves.

  Returns:
    One `metrics.json` dictionary for each run, by seed.

  Raises:
    UserError: a file is missing or damaged, two runs have one seed, or they
      differ in more of their config than the seed, in data sets or detectors.
  """
  runs = [_load(Path(workdir)) for workdir in workdirs]
  seeds = [run['config']['seed'] for run in runs]
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
    if _measured(run) != _measured(runs[0]):
      raise UserError(
        f'{workdirs[0]} and {workdir} were not evaluated with the same '
        'detectors on the same data sets: evaluate both in one way.'
      )
  return sorted(runs, key=lambda run: run['config']['seed'])


def _load(workdir: Path) -> Mapping[str, Any]:
  """One run's metrics, checked; its config has a whole number as seed."""
  path = workdir / 'report/metrics.json'
  # A file itself, or the folder of an evaluation.
  for other in (workdir, workdir / 'metrics.json'):
    if other.is_file():
      path = other
  fix = 'name the workdir of a finished run, or evaluate it again'
  run = metrics_json.read_metrics_json(path, fix=fix)
  try:
    json_values.whole_number(run['config'].get('seed'), 'config.seed')
  except json_values.BadValue as error:
    raise UserError(
      f"{path}, a run's metrics, cannot be used ({error}): {fix}."
    ) from None
  return run


def _measured(run: Mapping[str, Any]) -> dict[str, set[str]]:
  """The detectors of each data set."""
  return {name: set(one['failure']) for name, one in run['datasets'].items()}


def _first_difference(
  one: Any, other: Any, path: tuple[str, ...] = ()
) -> str | None:
  """Dotted name of a field that differs, or None."""
  if not (isinstance(one, Mapping) and isinstance(other, Mapping)):
    name = '.'.join(path)
    free = name == 'seed' or fields.may_differ(name, _FIXED)
    return None if free or one == other else name
  for key in sorted({*one, *other}):
    found = _first_difference(one.get(key), other.get(key), (*path, key))
    if found:
      return found
  return None


def mean_and_spread(
  values: Sequence[measures.Value], measure: measures.Measure
) -> str:
  """`mean ± sample standard deviation`, scaled; a dash if any is undefined."""
  scaled = [
    float(value) * measure.scale for value in values if value is not None
  ]
  if len(scaled) < len(values):
    return measures.UNDEFINED
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
    titles = measures.detector_titles(first['failure'])
    heads = [measure.title for measure in shown]
    lines += [
      f'{dataset}: {first["images"]} images, {len(runs)} seeds, {facts}',
      '',
      f'| detector | {" | ".join(heads)} | AUROC against {titles[reference]} |',
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
      lines.append(f'| {titles[name]} | {" | ".join(cells)} | {lead} |')
    lines.append('')
  return '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
  """Prints the table; 2 with one sentence on a mistake."""
  parser = argparse.ArgumentParser(
    prog='python -m fsnet_jax.report.seeds',
    description='Mean and spread over runs that differ only in their seed.',
  )
  parser.add_argument('workdirs', nargs='+', type=expanded, metavar='WORKDIR')
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
  show(markdown_table(runs, args.reference))
  return 0


if __name__ == '__main__':
  interrupts.watch()
  sys.exit(main())
