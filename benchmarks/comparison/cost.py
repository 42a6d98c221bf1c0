"""What comparing all failure detectors costs, beside running one of them.

    python -m benchmarks.comparison.cost                  # the demo's networks
    python -m benchmarks.comparison.cost --image_size=128,256 --width=0.25 \
        --head_width=0 --images=16 --batch_size=4

Networks are those of configs/compare_fcn8.py, or compare_deeplabv2.py with
`--network=deeplabv2`, with random weights. In every round each contender goes
over the same images, in turn, so that a busy machine disturbs all alike;
printed are medians in milliseconds an image:

- S alone, and every detector that learns by itself: S, its own network, the
  prediction and the score;
- MC-Dropout by itself, which does not learn and is in the comparison too;
- every score from one forward pass of S;
- the evaluation pass: those, reading the images, every metric, and the
  intervals of a single run; then with segments too.

Ratios are to the slowest detector that learns, for wall time and for the time
that all threads computed; on a machine that others use, the latter is the one
to read. The bootstrap itself, once a data set whatever its size in pixels, is
timed by itself.
"""

import argparse
import contextlib
import datetime
import os
import pathlib
import platform
import time
import types
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import jax
import numpy as np
from ml_collections import ConfigDict

from common_lib import class_table
from configs import compare_deeplabv2, compare_fcn8
from fsnet_jax import learned_detectors
from fsnet_jax.builders import data_sources, networks
from fsnet_jax.builders.evaluation import evaluation_options
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.detectors import fitted_name, resolve
from fsnet_jax.evaluation import evaluator as evaluate
from fsnet_jax.experiments.comparison import cells
from fsnet_jax.experiments.comparison.per_image_observer import DatasetObserver
from fsnet_jax.learned_detectors import fit_loop, frozen_segmentation
from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.runtime import mesh as mesh_lib
from fsnet_jax.runtime.interrupts import StopRequest
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages
from fsnet_jax.steps.eval_step import DropoutSampling, make_eval_step

LEARNED = ('fsnet', 'tcp', 'direct', 'synthcp', 'ensemble')
_S, _DROPOUT = 'S alone', 'mc_dropout'
_SCORES, _METRICS = 'every score', 'pass: scores, metrics'
_SEGMENTS = 'pass: + segments'
_ERROR_RATE = 0.2
_CELL = 8  # pixels; images and errors are made of such squares
_CONFIGS = {'fcn8': compare_fcn8, 'deeplabv2': compare_deeplabv2}
# Those that learn of which one is the slowest, whatever the network.
_SLOW = ('tcp', 'synthcp', 'ensemble')


class Scenes:
  """A source of scenes in memory."""

  def __init__(self, images: np.ndarray, truth: np.ndarray):
    self._images, self._truth = images, truth

  def __len__(self) -> int:
    return len(self._images)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return {
      'id': str(index),
      'image': self._images[index],
      'label': self._truth[index],
    }


def config_of(settings: argparse.Namespace) -> Any:
  """The comparison's config at these settings."""
  config = _CONFIGS[settings.network].get_config()
  config.image_size = settings.image_size
  config.width = settings.width
  if settings.network == 'fcn8':
    config.segmentation.head_width = settings.head_width
    config.segmentation.padding = settings.padding
  config.fit.synthcp.gan_width = settings.gan_width
  config.fit.ensemble.members = settings.members
  config.eval.batch_size = settings.batch_size
  config.eval.dropout_samples = settings.passes
  config.eval.detectors = cells.entries_of(config)
  return config


def random_fits(config: ConfigDict) -> dict[str, learned_detectors.Loaded]:
  """Every detector that is fitted over S, as its training would begin.

  What `load` reads from a checkpoint stays as it initialises it.
  """
  with (
    mock.patch.object(fit_loop, 'load', lambda folder, like: like),
    mock.patch.object(frozen_segmentation, 'stored', lambda folder, like: like),
  ):
    return {
      name: one.load(fit_options(name, config), Path())
      for name, one in learned_detectors.FITTED.items()
    }


class Subject:
  """Networks, images and everything that is timed on them."""

  def __init__(self, settings: argparse.Namespace):
    self.config = config_of(settings)
    self.mesh = mesh_lib.make_mesh()
    self.model = networks.model(self.config)
    self.fits = random_fits(self.config)
    params, stats = self.model.init(0, settings.image_size)
    variables = {name: fit.variables for name, fit in self.fits.items()}
    self.variables = mesh_lib.put_replicated(
      (params, stats, variables), self.mesh
    )
    self.segment_images = settings.segment_images
    self.briefly = settings.briefly
    self.source = self._scenes(settings.images, settings.image_size)
    self.batches = self._batches()
    self.tables: dict[str, ImageTable] = {}

  def _scenes(self, count: int, size: tuple[int, int]) -> Scenes:
    """Images of squares, labelled so that S errs on a fifth of them."""
    rng = np.random.default_rng(0)
    coarse = (count, size[0] // _CELL, size[1] // _CELL)

    def grown(cells: np.ndarray) -> np.ndarray:
      return cells.repeat(_CELL, axis=1).repeat(_CELL, axis=2)

    images = grown(rng.integers(0, 256, (*coarse, 3), dtype=np.uint8))
    self.source = Scenes(images, np.zeros(images.shape[:3], np.uint8))
    run, arrays = self.program(()), self._batches()
    said = [run(*self.variables[:2], batch, 1.0, {}) for batch in arrays]
    said = np.concatenate([np.asarray(one['prediction']) for one in said])
    wrong = grown(rng.random(coarse) < _ERROR_RATE)
    other = (
      said[:count] + rng.integers(1, 19)
    ) % class_table.CITYSCAPES.num_classes
    truth = np.where(wrong, other, said[:count]).astype(np.uint8)
    truth[:, :_CELL] = class_table.VOID
    return Scenes(images, truth)

  def _batches(self) -> list[dict[str, jax.Array]]:
    """Every batch of the images, on device."""
    return [
      mesh_lib.put_batch(batch, self.mesh)
      for batch in data_sources.evaluation_batches(self.config, self.source)
    ]

  def program(self, detectors: Sequence[str]) -> Callable[..., Any]:
    """Prediction and scores of some detectors, compiled; no metrics."""
    wanted = resolve(detectors)
    needed = {fitted_name(one) for one in wanted.values()}
    step = make_eval_step(
      self.model,
      wanted,
      num_classes=class_table.CITYSCAPES.num_classes,
      keep_pixels=False,
      dropout=DropoutSampling(self.config.eval.dropout_samples),
      fitted={n: f.outputs for n, f in self.fits.items() if n in needed},
    )
    # The compiler drops what only the counts need.
    return jax.jit(lambda *arguments: step(*arguments)[1])

  def scores(self, detectors: Sequence[str]) -> Callable[[], None]:
    """Goes over all images with `program`."""
    run, (params, stats, variables) = self.program(detectors), self.variables

    def over_all() -> None:
      for batch in self.batches:
        jax.block_until_ready(run(params, stats, batch, 1.0, variables))

    return over_all

  def whole(
    self, detectors: Sequence[str], segment_images: int | None
  ) -> Callable[[], None]:
    """The evaluation pass as a comparison makes it.

    Args:
      detectors: to evaluate.
      segment_images: how many images are cut into segments; None: the pass
        of a run by itself.
    """
    config = self.config.copy_and_resolve_references()
    config.eval.detectors = tuple(detectors)
    config.phase3_steps = 0
    with mock.patch.object(
      learned_detectors, 'load', lambda name, _: self.fits[name]
    ):
      evaluator = evaluate.Evaluator(
        evaluation_options(config),
        data_sources.RunData(config),
        self.model,
        self.mesh,
        pathlib.Path(),
      )
    params, stats, _ = self.variables
    state = types.SimpleNamespace(params=params, batch_stats=stats)

    def over_all() -> None:
      observer = None
      if segment_images is not None:
        observer = DatasetObserver(len(self.source), segment_images)
      with _fixed_temperature():
        # Of a state the evaluator reads these two fields alone.
        # pyrefly: ignore[bad-argument-type]
        result = evaluator(state, self.source, StopRequest(), observer)
      self.tables = result.tables or self.tables

    return over_all

  def contenders(self) -> dict[str, Callable[[], None]]:
    """What is timed, by title."""
    every = tuple(self.config.eval.detectors)
    found = {_S: self.scores(())}
    if self.briefly:
      found |= {name: self.scores((name,)) for name in _SLOW}
      found[_SEGMENTS] = self.whole(every, self.segment_images)
      return found
    for name in (*LEARNED, _DROPOUT):
      found[name] = self.scores((name,))
    found[_SCORES] = self.scores(every)
    found[_METRICS] = self.whole(every, None)
    found[_SEGMENTS] = self.whole(every, self.segment_images)
    return found


@contextlib.contextmanager
def _fixed_temperature() -> Generator[None]:
  """Temperature 1, which needs no validation images."""
  with mock.patch.object(evaluate.Evaluator, '_fit', lambda self, state: 1.0):
    yield


def seconds(function: Callable[[], Any]) -> tuple[float, float]:
  """Wall time of a call, and the time that all its threads computed."""
  start = time.perf_counter(), time.process_time()
  function()
  return time.perf_counter() - start[0], time.process_time() - start[1]


def compete(
  contenders: dict[str, Callable[[], None]], rounds: int, images: int
) -> dict[str, np.ndarray]:
  """Milliseconds an image, wall and CPU, float64 [rounds 2], by contender."""
  names = list(contenders)
  for name in names:
    wall, _ = seconds(contenders[name])
    print(f'compiling {name}: {wall:.0f} s', flush=True)
  times: dict[str, list[Any]] = {name: [] for name in names}
  for index in range(rounds):
    # Every round begins with another contender.
    start = index % len(names)
    for name in (*names[start:], *names[:start]):
      times[name].append(seconds(contenders[name]))
  return {name: 1e3 * np.array(one) / images for name, one in times.items()}


def report(times: dict[str, np.ndarray]) -> None:
  """Prints the table, with ratios to the slowest detector that learns."""
  medians = {name: np.median(one, axis=0) for name, one in times.items()}
  # The passes share what comes before dropout with S.
  if _DROPOUT in medians:
    dropout = medians[_DROPOUT] - medians[_S]
    for name in (_SCORES, _METRICS, _SEGMENTS):
      medians[f'{name}, less MC-Dropout'] = medians[name] - dropout
  known = [medians[name] for name in LEARNED if name in medians]
  slowest = np.max(known, axis=0)
  titles = ('wall', 'ratio', 'CPU', 'ratio')
  print(f'\n{"milliseconds an image":38}', *(f'{t:>8}' for t in titles))
  for name, (wall, cpu) in medians.items():
    values = (wall, wall / slowest[0], cpu, cpu / slowest[1])
    print(
      f'{name:38}',
      *(f'{v:8.{places}f}' for v, places in zip(values, (1, 2, 1, 2))),
    )
  print('ratio: to the slowest detector that learns')


def machine() -> str:
  """One line on what this ran on."""
  model = platform.processor() or platform.machine()
  if os.path.exists('/proc/cpuinfo'):
    with open('/proc/cpuinfo') as file:
      names = [line for line in file if line.startswith('model name')]
    model = names[0].split(':')[1].strip() if names else model
  cores = len(os.sched_getaffinity(0))
  date = datetime.datetime.now(datetime.UTC).isoformat(timespec='minutes')
  return (
    f'{model}, {cores} of {os.cpu_count()} CPUs, load '
    f'{os.getloadavg()[0]:.1f}, jax {jax.__version__} on '
    f'{jax.devices()[0].device_kind}, {date}'
  )


def _size(text: str) -> tuple[int, int]:
  height, width = (int(side) for side in text.split(','))
  return height, width


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
  """The command line."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--network', choices=tuple(_CONFIGS), default='fcn8')
  parser.add_argument('--image_size', type=_size, default=(64, 128))
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument(
    '--head_width', type=int, default=256, help='of FCN8; 0: 4096*width'
  )
  parser.add_argument(
    '--padding', choices=('same', 'pad99'), default='same', help='of FCN8'
  )
  parser.add_argument(
    '--gan_width', type=float, default=0.0625, help='0: as width'
  )
  parser.add_argument('--members', type=int, default=3, help='of the ensemble')
  parser.add_argument('--passes', type=int, default=50, help='with dropout')
  parser.add_argument('--batch_size', type=int, default=8)
  parser.add_argument('--images', type=int, default=48)
  parser.add_argument('--segment_images', type=int, default=100)
  parser.add_argument('--rounds', type=int, default=5)
  parser.add_argument(
    '--briefly',
    action='store_true',
    help='S, TCP, SynthCP and the ensemble (one is slowest), the whole pass',
  )
  return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
  settings = parse(argv)
  print(machine())
  print(vars(settings), flush=True)
  subject = Subject(settings)
  times = compete(subject.contenders(), settings.rounds, settings.images)
  report(times)
  tables = subject.tables
  resamples = subject.config.compare.resamples
  weights = bootstrap.draws(settings.images, resamples)
  took, _ = seconds(
    lambda: [bootstrap.resampled(one, weights) for one in tables.values()]
  )
  print(
    f'bootstrap: {resamples} draws of {len(tables)} detectors in {took:.1f} s'
  )
  print(f'load afterwards {os.getloadavg()[0]:.1f}')


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
