"""Experiments go on where their folder has been moved to.

Everything is real but S and F, which are small, and a step of their training,
which is no descent.
"""

import dataclasses
import json
import shutil
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import jaxtyping
import pytest
from matplotlib import figure

from configs import ablation as ablation_config
from configs import common, compare_fcn8, stored_run
from fsnet_jax import cli, learned_detectors
from fsnet_jax.builders import networks
from fsnet_jax.config import run_paths
from fsnet_jax.experiments import ablation
from fsnet_jax.experiments.comparison import evaluation
from fsnet_jax.learned_detectors import cross_predictions
from fsnet_jax.models.layers import basic
from fsnet_jax.report.figures import plots
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.training import trainer
from tests.fsnet_jax.experiments.comparison_stand_ins import read
from tests.fsnet_jax.learned_detectors import small_fit
from tests.paths import COMPILED

# What was done, and in which folder.
WORK = []
PNG = plots.to_png(figure.Figure())


def shrunk(config, cache):
  """A config of an experiment, as small as it goes."""
  small = small_fit.config_of(cache)
  for name in common.get_config():
    if name != 'task':
      config[name] = small[name]
  config.phase1_steps, config.phase2_steps, config.phase3_steps = 2, 1, 0
  config.data.num_test = 2
  config.compilation_cache_dir = str(COMPILED)
  config.eval.datasets = ('streets/day',)
  config.eval.detectors = ('fsnet', 'msp')
  config.eval.exact_pixels = 0
  config.eval.num_examples = 0
  config.fit.predictions = 'folds'
  config.fit.num_folds = 2
  config.fit.direct.steps = 1
  return config


class SmallFailure(nn.Module):
  """F: one layer."""

  @nn.compact
  def __call__(self, images, seg_logits, seg_features, train=False):
    del images, seg_features, train
    return basic.conv(1, 1, name='score')(seg_logits)[..., 0]


def no_descent(self, phase, batch):
  """Instead of a step that would have to be compiled."""
  del batch
  WORK.append(f'train {self._workdir.name}')

  def update(state, batch):
    del batch
    params = jax.tree.map(lambda leaf: leaf * (1 + phase / 8), state.params)
    after = dataclasses.replace(state, step=state.step + 1, params=params)
    return after, {'loss': jnp.zeros(())}

  return update


def counted(real):
  """An `evaluate` that leaves a note."""

  def evaluate(config, workdir, *rest):
    WORK.append(f'evaluate {workdir.name}')
    return real(config, workdir, *rest)

  return evaluate


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  # The arrays of a state are replaced by other things where it is restored.
  jaxtyping.config.update('jaxtyping_disable', True)
  with pytest.MonkeyPatch.context() as patch:
    small_fit.replace_networks(patch)
    patch.setattr(trainer.Trainer, '_train_step', no_descent)
    patch.setattr(networks, 'failure', lambda config: SmallFailure())
    patch.setattr(plots, 'to_png', lambda figure: PNG)
    for module in (ablation, evaluation):
      patch.setattr(module, 'evaluate', counted(module.evaluate))
    yield tmp_path_factory.mktemp('data')
  jaxtyping.config.update('jaxtyping_disable', False)


def stopped(*_):
  raise Interrupted('stopped')


def work_of(config, workdir):
  """What a command does, each thing once."""
  WORK.clear()
  cli.run(config, workdir, 'train', {})
  return list(dict.fromkeys(WORK))


def naming(workdir, *places):
  """The stored files of an experiment that name one of the places."""
  return [
    path.relative_to(workdir).as_posix()
    for path in workdir.rglob('*.json')
    if any(str(place) in path.read_text() for place in places)
  ]


@pytest.fixture(scope='module')
def compared(cache, tmp_path_factory):
  """A comparison that was stopped before its fit, moved, and finished.

  Returns:
    Its config, its folder, and those where it was before.
  """
  config = shrunk(compare_fcn8.get_config(), cache)
  config.compare.seeds = (0,)
  config.compare.fitted = ('direct',)
  config.compare.resamples = 40
  config.compare.segment_images = 1
  config.compare.ablation.num_seeds = 0
  first = tmp_path_factory.mktemp('first') / 'run'
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(learned_detectors, 'fit', stopped)
    with pytest.raises(Interrupted):
      cli.run(config, first, 'train', {})
  assert (first / 'seed0/fsnet/cost.json').exists()
  second = first.rename(tmp_path_factory.mktemp('second') / 'renamed')
  assert work_of(config, second) == [
    'train fold0',
    'train fold1',
    'evaluate phase1',
    'evaluate fsnet',
  ]
  return config, second, (first, second)


@pytest.fixture
def moved(compared, tmp_path):
  """A copy of it, in a third place."""
  config, second, before = compared
  return config, shutil.copytree(second, tmp_path / 'moved'), before


def test_a_finished_comparison_is_moved(moved):
  config, third, before = moved
  report = (third / 'report' / 'compare.json').read_bytes()
  assert work_of(config, third) == []
  assert (third / 'report' / 'compare.json').read_bytes() == report
  assert naming(third, *before, third) == []
  # A cell is still a run that can be looked at by itself.
  cell = third / 'seed0' / 'fsnet'
  config = stored_run.get_config(str(cell))
  assert config.init.phase1 == '{workdir}/../phase1'
  cli.run(config, cell, 'evaluate', {})
  (folder,) = (cell / 'evaluations').iterdir()
  failure = read(folder / 'metrics.json')['datasets']['streets/day']['failure']
  before = read(cell / 'report/metrics.json')['datasets']['streets/day']
  assert failure['direct']['pooled'] == before['failure']['direct']['pooled']


def as_older_versions_stored_it(workdir, place):
  """Absolute paths in the configs, of a `place` where it was before."""
  for path in workdir.rglob('config.json'):
    there = place / path.parent.relative_to(workdir)
    path.write_text(json.dumps(run_paths.located_values(read(path), there)))


def test_a_comparison_of_an_older_version_is_moved(moved, monkeypatch):
  config, third, (gone, _) = moved
  as_older_versions_stored_it(third, gone)
  assert naming(third, gone)
  assert work_of(config, third) == []
  # What is fitted anew follows the runs to what S began with.
  as_older_versions_stored_it(third, gone)
  for name in ('fitted', 'failure_data'):
    shutil.rmtree(third / 'seed0' / name)
  monkeypatch.setattr(cross_predictions, '_predict', stopped)
  with pytest.raises(Interrupted):
    work_of(config, third)
  assert set(WORK) == {'train fold0'}


def test_an_ablation_is_moved(cache, tmp_path, monkeypatch):
  config = shrunk(ablation_config.get_config('fcn8'), cache)
  config.ablation.variants = ('full',)
  with monkeypatch.context() as patch:
    patch.setattr(ablation, 'evaluate', stopped)
    with pytest.raises(Interrupted):
      work_of(config, tmp_path / 'first')
  done = [f'train {name}' for name in ('phase1_data100', 'full')]
  assert list(dict.fromkeys(WORK)) == done
  second = (tmp_path / 'first').rename(tmp_path / 'second')
  as_older_versions_stored_it(second, tmp_path / 'first')
  assert work_of(config, second) == ['evaluate full']
  third = second.rename(tmp_path / 'third')
  assert work_of(config, third) == []
  # With a relative --workdir too.
  monkeypatch.chdir(tmp_path)
  assert work_of(config, Path('third')) == []
  assert naming(third, tmp_path / 'first', second, third) == []
