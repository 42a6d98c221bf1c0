"""How many operations comparing all failure detectors takes, at any size.

    python -m benchmarks.comparison.count fcn8 cityscapes
    python -m benchmarks.comparison.count deeplabv2 cityscapes --members=3

Nothing is run: XLA counts the floating-point operations of each program as it
is lowered, so that sizes which no machine at hand can time are known too. What
is counted is one image of the protocol's size, the prediction and the scores;
metrics are left out. The cost that a comparison cannot go below is that of the
networks in it, however well it is written; `benchmarks.comparison.cost`
measures how far above it is.
"""

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from benchmarks.comparison.cost import LEARNED, machine, random_fits
from common_lib import class_table
from fsnet_jax.builders import networks
from fsnet_jax.detectors import fitted_name, resolve
from fsnet_jax.experiments.comparison import cells
from fsnet_jax.steps.eval_step import DropoutSampling, make_eval_step

_S, _DROPOUT, _ALL = 'S alone', 'mc_dropout', 'every score'


class Counter:
  """Counts the operations of any choice of detectors of a comparison."""

  def __init__(self, config: ConfigDict):
    size = tuple(config.image_size)
    self._config = config
    self._model = networks.model(config)
    self._fits = random_fits(config)
    params, stats = self._model.init(0, size)
    variables = {name: fit.variables for name, fit in self._fits.items()}
    self._variables = params, stats, variables
    self._batch = {
      'image': np.zeros((1, *size, 3), np.uint8),
      'label': np.zeros((1, *size), np.uint8),
      'mask': np.ones(1, bool),
      'index': np.zeros(1, np.int32),
    }

  def __call__(self, detectors: Sequence[str]) -> float:
    """Billions of operations an image."""
    rest = [name for name in detectors if name != _DROPOUT]
    total = self._scores(rest)
    if _DROPOUT in detectors:
      total += self._dropout()
    return total

  def _scores(self, detectors: Sequence[str]) -> float:
    wanted = resolve(detectors)
    needed = {fitted_name(one) for one in wanted.values()}
    step = make_eval_step(
      self._model,
      wanted,
      num_classes=class_table.CITYSCAPES.num_classes,
      keep_pixels=False,
      dropout=DropoutSampling(self._config.eval.dropout_samples),
      fitted={n: f.outputs for n, f in self._fits.items() if n in needed},
    )
    params, stats, fits = self._variables
    return _count(
      lambda *arguments: step(*arguments)[1],
      *(params, stats, self._batch, 1.0, fits),
    )

  def _dropout(self) -> float:
    """The passes alone; what comes before dropout S has computed."""
    network = self._model.segmentation
    params, stats, _ = self._variables
    own = {'params': params['segmentation']}
    if 'segmentation' in stats:
      own['batch_stats'] = stats['segmentation']
    images = self._batch['image'].astype(np.float32)
    encoded = jax.eval_shape(
      lambda v, x: network.apply(v, x, method='encode'), own, images
    )

    def one_pass(variables: Any, encoded: Any) -> Any:
      keys = {'dropout': jax.random.key(0)}
      return network.apply(variables, encoded, method='sample', rngs=keys)

    coarse = jax.eval_shape(one_pass, own, encoded)

    def upsample(variables: Any, encoded: Any, coarse: Any) -> Any:
      size = images.shape[1:3]
      return network.apply(variables, encoded, coarse, size, method='upsample')

    passes = self._config.eval.dropout_samples * _count(one_pass, own, encoded)
    return passes + _count(upsample, own, encoded, coarse)


def _count(function: Any, *arguments: Any) -> float:
  """Billions of operations of a program, as it is lowered."""
  cost = jax.jit(function).lower(*arguments).cost_analysis()
  assert cost is not None  # CPUs and GPUs have one.
  return cost['flops'] / 1e9


def report(counts: dict[str, float]) -> None:
  """Prints the table, with ratios to the dearest detector that learns."""
  dearest = max(counts[name] for name in LEARNED)
  print(f'\n{"an image":38} {"Gflop":>9} {"ratio":>6}')
  for name, count in counts.items():
    print(f'{name:38} {count:9.2f} {count / dearest:6.2f}')
  print('ratio: to the dearest detector that learns')


def main(argv: Sequence[str] | None = None) -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('network', choices=('fcn8', 'deeplabv2'))
  parser.add_argument('protocol', help='as in configs/compare_fcn8.py')
  parser.add_argument('--members', type=int, help='of the ensemble')
  settings = parser.parse_args(argv)
  module = importlib.import_module(f'configs.compare_{settings.network}')
  config = module.get_config(settings.protocol)
  if settings.members:
    config.fit.ensemble.members = settings.members
  config.eval.detectors = cells.entries_of(config)
  print(machine())
  members = config.fit.ensemble.members
  print(
    f'{settings.network}:{settings.protocol}, {tuple(config.image_size)}, '
    f'width {config.width:g}, an ensemble of {members}, '
    f'{config.eval.dropout_samples} passes of dropout',
    flush=True,
  )
  count = Counter(config)
  every = tuple(config.eval.detectors)
  counts = {_S: count(())}
  counts |= {name: count((name,)) for name in (*LEARNED, _DROPOUT)}
  counts[_ALL] = count(every)
  rest = [name for name in every if name != _DROPOUT]
  counts[f'{_ALL}, less MC-Dropout'] = count(rest)
  report(counts)


if __name__ == '__main__':
  main()
