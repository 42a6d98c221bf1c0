"""Promised against realised risk: many calibrations of one run.

    python -m benchmarks.monitor.calibration_promise --workdir=runs/fsnet_fcn8 \
        --pool=streets/day --shifted=streets/fog,streets/night \
        --images=600 --calibrations=20

The images of the pool, which nothing was trained on, are divided again and
again: some calibrate a threshold as `--mode=calibrate` does, the others say
what it gives. Shifted images are judged by the same thresholds. Per detector:
how often the risk on images like those of the calibration was above the limit,
and mean risk and coverage (share of the pixels that pass).

Frames of one drive are like their neighbours. `--blocks` calibrates on frames
that follow each other, each time from another place of the pool on, and judges
by those of the rest of the drive: what a promise on frames is worth there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from configs import stored_run
from fsnet_jax.builders import data_sources
from fsnet_jax.config import resolution, run_paths
from fsnet_jax.monitor import risk_control
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.calibration import losses, platt
from fsnet_jax.monitor.calibration.collect import Labelled, labelled

_PIXELS = 2000
_THRESHOLDS = 200


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--detectors', default='fsnet,msp,entropy')
  parser.add_argument('--pool', default='streets/day')
  parser.add_argument('--shifted', default='streets/fog,streets/night')
  parser.add_argument('--images', type=int, default=600)
  parser.add_argument('--calibrate', type=int, default=200)
  parser.add_argument('--fit', type=int, default=50)
  parser.add_argument('--calibrations', type=int, default=20)
  parser.add_argument('--limit', type=float, default=0.05)
  parser.add_argument('--risk', default='passing', choices=losses.RISKS)
  parser.add_argument(
    '--fitted',
    action='append',
    default=[],
    metavar='DETECTOR=DIR',
    help='fit of a detector that learns (docs/guide/detectors.md)',
  )
  parser.add_argument('--blocks', action='store_true')
  return parser.parse_args()


def _config(options: argparse.Namespace) -> ConfigDict:
  """The run's, with as many test images as are asked for."""
  stored = stored_run.get_config(options.workdir)
  config = resolution.resolved(stored).unlock()
  config.data.num_test = options.images
  for one in options.fitted:
    name, _, folder = one.partition('=')
    config.eval.fitted[name] = folder
  return run_paths.located(config.lock(), Path(options.workdir))


def _images(
  config: ConfigDict, backend: CheckpointBackend, spec: str
) -> list[Labelled]:
  """What the networks say of a data set, without its pixels' colours."""
  source = data_sources.source(config, spec)
  return list(labelled(backend, source, range(len(source)), lambda: None))


def _fitted(images: Sequence[Labelled]) -> tuple[platt.Platt, np.ndarray]:
  """P(wrong) and the thresholds, as a calibration makes them."""
  rng = np.random.default_rng(0)
  scores, wrong = [], []
  for one in images:
    index = rng.permutation(np.flatnonzero(one.valid.reshape(-1)))[:_PIXELS]
    scores.append(one.score.reshape(-1)[index])
    wrong.append(one.wrong.reshape(-1)[index])
  every = np.concatenate(scores)
  found = platt.fit(every, np.concatenate(wrong))
  assert found is not None, 'the score tells nothing'
  shares = np.linspace(0, 1, _THRESHOLDS)
  return found, np.unique(np.quantile(found(every), shares).astype(np.float32))


def _counted(
  images: Sequence[Labelled], model: platt.Platt, grid: np.ndarray, risk: str
) -> tuple[np.ndarray, np.ndarray]:
  """Loss and coverage [n t] of images."""
  counts = [
    losses.count(model(one.score), one.wrong, one.valid, grid) for one in images
  ]
  kind = losses.RISKS[losses.RISKS.index(risk)]  # The text, as its type.
  return (
    np.stack([one.loss(kind) for one in counts]),
    np.stack([one.coverage for one in counts]),
  )


def _shares(
  options: argparse.Namespace, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Indices of the images that calibrate, and of those that judge."""
  rng = np.random.default_rng(1)
  for index in range(options.calibrations):
    if options.blocks:
      start = index * count // options.calibrations
      order = np.roll(np.arange(count), -start)
    else:
      order = rng.permutation(count)
    yield order[: options.calibrate], order[options.calibrate :]


def _row(options: argparse.Namespace, config: ConfigDict, name: str) -> None:
  """Prints what one detector's calibrations gave."""
  backend = CheckpointBackend(config, Path(options.workdir), name)
  pool = _images(config, backend, options.pool)
  # Of frames in their order, every so many-th: the rest stays a drive.
  fit = np.zeros(len(pool), bool)
  step = len(pool) // options.fit if options.blocks else 1
  fit[: step * options.fit : step] = True
  model, grid = _fitted([pool[i] for i in np.flatnonzero(fit)])
  others = [pool[i] for i in np.flatnonzero(~fit)]
  loss, coverage = _counted(others, model, grid, options.risk)
  shifted = {
    spec: _counted(_images(config, backend, spec), model, grid, options.risk)
    for spec in options.shifted.split(',')
    if spec
  }
  found = []
  for mine, other in _shares(options, len(loss)):
    chosen = risk_control.choose_threshold(
      loss[mine], grid.astype(np.float64), options.limit
    )
    if chosen is None:
      continue
    at = chosen.index
    found.append(
      [loss[other, at].mean(), coverage[other, at].mean()]
      + [f[:, at].mean() for pair in shifted.values() for f in pair]
    )
  table = np.array(found).reshape(len(found), -1)
  above = int((table[:, 0] > options.limit).sum()) if len(found) else 0
  means = [f'{100 * one:5.1f}' for one in table.mean(axis=0)]
  print(
    f'{name:16s} {len(found):3d} of {options.calibrations} possible, '
    f'{above:2d} above the limit; risk, coverage % '
    + '; '.join(' '.join(means[i : i + 2]) for i in range(0, len(means), 2)),
    flush=True,
  )


def main() -> None:
  """Prints a line a detector."""
  options = _arguments()
  config = _config(options)
  print(
    f'limit {100 * options.limit:g} % ({options.risk}), '
    f'{options.calibrate} images calibrate'
    f'{", one after the other" * options.blocks}; columns: '
    f'{", ".join([options.pool, *filter(None, options.shifted.split(","))])}'
  )
  for name in options.detectors.split(','):
    _row(options, config, name)


if __name__ == '__main__':
  main()
