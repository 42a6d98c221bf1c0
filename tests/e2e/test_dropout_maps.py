"""A run whose per-pixel networks look at S's passes with dropout."""

import json
import shutil

import jaxtyping
import numpy as np
import pytest

from common_lib.errors import UserError
from configs import stored_run
from fsnet_jax import cli
from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.export import from_run
from fsnet_jax.report.schema import validate
from tests.e2e import sharing, tiny

FIELDS = {
  'phase1_steps': 0,
  'phase2_steps': 0,
  'failure__preset': 'light',
  'fit__pixel__dropout_samples': 2,
  'eval__detectors': "('fsnet','fsnet_pixel','mc_dropout','msp')",
  'eval__dropout_samples': 3,
}


@pytest.fixture(autouse=True)
def as_a_user_runs_it():
  """Orbax restores into descriptions of arrays, which type checks refuse."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


@pytest.fixture(scope='module')
def run(finished, shared):
  """Phase 3 over the S of the finished run."""

  def train(workdir):
    command = tiny.command(
      shared, workdir, init__segmentation=finished[0], **FIELDS
    )
    result = tiny.run(command)
    assert result.returncode == 0, result.stderr

  return sharing.made_once(shared / 'dropout_maps', train)


def _evaluated(workdir, **fields):
  config = stored_run.get_config(str(workdir))
  config.update_from_flattened_dict(fields)
  origin = {'config_name': 'tiny', 'command': 'a test'}
  cli.run(config.lock(), workdir, 'evaluate', origin)
  return json.loads((tiny.evaluation(workdir) / 'metrics.json').read_text())


def test_it_is_trained_and_evaluated(run, tmp_path):
  metrics = tiny.metrics(run)
  validate(metrics)
  for entry in metrics['datasets'].values():
    pooled = {n: one['pooled'] for n, one in entry['failure'].items()}
    assert set(pooled) == {'fsnet', 'fsnet_pixel', 'mc_dropout', 'msp'}
    assert pooled['fsnet'] == pooled['fsnet_pixel']
    assert pooled['fsnet']['auroc'] != pooled['msp']['auroc']
  # The same masks again, without the detector that has masks of its own.
  workdir = shutil.copytree(run, tmp_path / 'copy')
  again = _evaluated(workdir, **{'eval.detectors': ('fsnet', 'msp')})
  for name, entry in again['datasets'].items():
    before = metrics['datasets'][name]['failure']['fsnet']['pooled']
    assert entry['failure']['fsnet']['pooled'] == pytest.approx(before)


def test_a_monitor_says_the_same_of_an_image_wherever_it_is(run):
  rng = np.random.default_rng(0)
  images = rng.integers(0, 256, (3, 32, 64, 3), np.uint8)
  monitor = Monitor.load(run)
  first, turned = monitor(images), monitor(images[::-1])
  np.testing.assert_allclose(first.failure, turned.failure[::-1], atol=1e-5)


_TRAINED = r'config.fit.pixel.dropout_samples=2\): train it with 0'


@pytest.mark.parametrize(
  ('detector', 'kind', 'words'),
  [
    ('fsnet', 'onnx', _TRAINED),
    ('fsnet', 'jaxexport', _TRAINED),
    ('fsnet', 'tflite', _TRAINED),
    ('mc_dropout', 'onnx', 'choose another in config.calibrate.detector'),
  ],
)
def test_no_file_draws_masks(run, tmp_path, detector, kind, words):
  config = stored_run.get_config(str(run))
  config.calibrate.detector = detector
  path = tmp_path / f'm.{kind}'
  with pytest.raises(UserError, match=words) as error:
    from_run.export(config, run, path)
  assert '\n' not in str(error.value) and not path.exists()
