"""How often the tests for shift alarm without one, and how soon with one.

    python -m benchmarks.monitor.shift_alarms --workdir=runs/s \
        --like=streets/day --shifted=streets/fog,streets/night --images=600

Images like those of the calibration: `--reference` of them, drawn again and
again, are what the threshold is taken to be calibrated on. The folder test
(`shift.compare`) looks at folders of other images, of each size of `--folders`,
the stream's (`shift.StreamTest`) at streams of `--before` images like the
reference and then images that are not. Streams are of independent images here,
as the test takes them: it sees one frame a second. `--blocks` keeps images in
their order, as frames of one drive are.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from configs import stored_run
from fsnet_jax.builders import data_sources
from fsnet_jax.config import resolution, run_paths
from fsnet_jax.monitor import Monitor, shift, statistics

_BATCH = 8

Table = Mapping[str, np.ndarray]


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--like', default='streets/day')
  parser.add_argument('--shifted', default='streets/fog,streets/night')
  parser.add_argument('--images', type=int, default=600)
  parser.add_argument('--reference', type=int, default=200)
  parser.add_argument('--folders', default='10,30,100')
  parser.add_argument('--before', type=int, default=60)
  parser.add_argument('--trials', type=int, default=200)
  parser.add_argument('--blocks', action='store_true')
  return parser.parse_args()


def _statistics(monitor: Monitor, config: ConfigDict, spec: str) -> Table:
  """The five numbers of each image of a data set, in its order."""
  source = data_sources.source(config, spec)
  found = []
  for start in range(0, len(source), _BATCH):
    images = np.stack(
      [
        np.asarray(source[index]['image'])
        for index in range(start, min(start + _BATCH, len(source)))
      ]
    )
    result = monitor(images)
    found.append(
      statistics.of_images(images, result, monitor.classes.num_classes)
    )
  return {
    name: np.concatenate([one[name] for one in found])
    for name in statistics.NAMES
  }


def _rows(table: Table, index: np.ndarray) -> Table:
  return {name: values[index] for name, values in table.items()}


def _drawn(
  rng: np.random.Generator, total: int, count: int, blocks: bool
) -> np.ndarray:
  """Indices: any, or some that follow each other."""
  if not blocks:
    return rng.permutation(total)[:count]
  return rng.integers(total - count + 1) + np.arange(count)


def _trials(
  options: argparse.Namespace, like: Table
) -> Iterator[tuple[np.random.Generator, Table, Table]]:
  """A generator, a reference, and the images like it that are left."""
  total = len(like[statistics.NAMES[0]])
  for trial in range(options.trials):
    rng = np.random.default_rng(trial)
    mine = _drawn(rng, total, options.reference, options.blocks)
    rest = np.setdiff1d(np.arange(total), mine)
    yield rng, _rows(like, mine), _rows(like, rest)


def _folder_alarms(
  options: argparse.Namespace, like: Table, other: Table | None, count: int
) -> float:
  """Share of trials in which a folder of `count` images is called shifted."""
  alarms = []
  for rng, reference, rest in _trials(options, like):
    source = rest if other is None else other
    total = len(source[statistics.NAMES[0]])
    if total < count:
      return float('nan')
    index = _drawn(rng, total, count, options.blocks)
    alarms.append(shift.compare(reference, _rows(source, index)).found())
  return float(np.mean(alarms))


def _stream_delays(
  options: argparse.Namespace, like: Table, other: Table | None
) -> list[float]:
  """Images from the shift to the alarm, by trial.

  Negative if it came before the shift, infinite if never; without a shift,
  images from the beginning.
  """
  delays = []
  for rng, reference, rest in _trials(options, like):
    total = len(rest[statistics.NAMES[0]])
    test = shift.StreamTest(reference)
    before = total if other is None else min(options.before, total)
    parts = [(rest, _drawn(rng, total, before, options.blocks), -before)]
    if other is not None:
      count = len(other[statistics.NAMES[0]])
      parts.append((other, _drawn(rng, count, count, options.blocks), 0))
    delays.append(_alarm(test, parts))
  return delays


def _alarm(
  test: shift.StreamTest, parts: list[tuple[Table, np.ndarray, int]]
) -> float:
  """At which image the alarm comes, the first of the shift being 1."""
  for table, index, first in parts:
    for place, row in enumerate(index):
      values = {name: float(one[row]) for name, one in table.items()}
      if test.update(str(row), values):
        return first + place + 1
  return float('inf')


def main() -> None:
  """Prints false alarms, and power and delay by domain."""
  options = _arguments()
  stored = stored_run.get_config(options.workdir)
  config = resolution.resolved(stored).unlock()
  config.data.num_test = options.images
  config = run_paths.located(config.lock(), Path(options.workdir))
  monitor = Monitor.load(options.workdir)
  like = _statistics(monitor, config, options.like)
  folders = [int(one) for one in options.folders.split(',')]
  print(
    f'{options.reference} images of {options.like} are the reference, '
    f'{options.trials} trials, level {100 * shift.LEVEL:g} %'
  )
  for spec in ('', *options.shifted.split(',')):
    other = _statistics(monitor, config, spec) if spec else None
    found = [
      f'{count}: {100 * _folder_alarms(options, like, other, count):.1f} %'
      for count in folders
    ]
    delays = np.asarray(_stream_delays(options, like, other))
    print(f'{spec or "no shift":18s} folders of {", ".join(found)}', end='; ')
    if other is None:
      false = np.isfinite(delays).mean()
      length = len(like[statistics.NAMES[0]]) - options.reference
      print(f'streams of {length}: {100 * false:.1f} %', flush=True)
      continue
    early = (delays <= 0).mean()
    after = delays[delays > 0]
    seen = np.isfinite(after).mean() if len(after) else float('nan')
    low, middle, high = np.quantile(
      after, (0.05, 0.5, 0.95), method='inverted_cdf'
    )
    print(
      f'streams: found in {100 * seen:.1f} %, after {middle:.0f} images '
      f'({low:.0f} to {high:.0f}), before the shift in {100 * early:.1f} %',
      flush=True,
    )


if __name__ == '__main__':
  main()
