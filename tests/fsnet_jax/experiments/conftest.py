"""One comparison with stand-ins, which all tests of its run look at."""

import copy
import shutil

import pytest

from configs import compare_fcn8
from fsnet_jax.experiments import comparison
from tests.fsnet_jax.experiments import comparison_stand_ins


@pytest.fixture(scope='session')
def _made(tmp_path_factory):
  config = compare_fcn8.get_config()
  config.eval.datasets = comparison_stand_ins.DATASETS
  config.eval.detectors = ('fsnet', 'msp')
  config.compare.seeds = (5,)
  config.compare.fitted = ()
  config.compare.resamples = 40
  config.compare.segment_images = 3
  config.compare.ablation.variants = ('full', 'no_w4')
  comparison.check(config)
  workdir = tmp_path_factory.mktemp('comparison')
  with comparison_stand_ins.installed() as stand_ins:
    comparison.run(config, workdir, 'train', {'command': 'main.py --config=x'})
  assert stand_ins.evaluated == ['phase1', 'fsnet']
  assert stand_ins.variants == ['full', 'no_w4']
  return config, workdir


@pytest.fixture
def stand_ins():
  with comparison_stand_ins.installed() as found:
    yield found


@pytest.fixture
def finished(_made, stand_ins):
  """Config and folder of a comparison; the folder stays as it is."""
  config, workdir = _made
  return copy.deepcopy(config), workdir


@pytest.fixture
def own(finished, tmp_path):
  """The same, with a copy of the folder that a test may change."""
  config, workdir = finished
  copied = tmp_path / 'own'
  shutil.copytree(workdir, copied)
  return config, copied
