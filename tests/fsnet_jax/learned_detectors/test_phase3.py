"""Phase 3: which parts F has, and fits that resume to the same bits."""

import copy

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax import learned_detectors
from fsnet_jax.builders.evaluation import evaluation_options, failure_options
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.config import validation
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.evaluation import failure_parts
from fsnet_jax.learned_detectors import fit_loop, frozen_segmentation
from fsnet_jax.learned_detectors.corrections import phase3, pixel
from fsnet_jax.learned_detectors.corrections.pixel import balance_offset
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.runtime.workdir import open_workdir
from fsnet_jax.training.from_config import trainer
from tests.fsnet_jax.learned_detectors import small_fit

pytestmark = pytest.mark.slow


def _config(cache='', **changes):
  config = small_fit.config_of(cache)
  for name, value in changes.items():
    node = config.failure if name == 'preset' else config
    node[name] = value
  return config


@pytest.mark.parametrize(
  ('preset', 'phase2', 'phase3_steps', 'expected'),
  [
    ('robust', 5, 5, {'pixel': 2 / 3, 'joint': 1 / 6, 'conv': 1 / 6}),
    ('robust', 0, 5, {'pixel': 0.5, 'conv': 0.5}),
    ('robust', 5, 0, {'joint': 1.0}),
    ('robust', 0, 0, {}),
    ('light', 5, 5, {'pixel': 1.0}),
    ('light', 5, 0, {'joint': 1.0}),
    ('paper', 5, 5, {'joint': 1.0}),
    ('paper', 0, 5, {}),
  ],
)
def test_what_f_is(preset, phase2, phase3_steps, expected):
  config = _config(
    preset=preset, phase2_steps=phase2, phase3_steps=phase3_steps
  )
  found = phase3.weights_of(failure_options(config))
  assert found == pytest.approx(expected)


def _pixel_options(config):
  return fit_options('pixel', config).own


def test_what_is_trained_to_be_light_takes_one_pass():
  assert _pixel_options(_config(preset='robust')).flip
  assert not _pixel_options(_config(preset='light')).flip
  without = _config(preset='robust')
  without.fit.pixel.flip = False
  assert not _pixel_options(without).flip


@pytest.mark.parametrize(
  ('preset', 'stride', 'expected'),
  [('robust', 0, 1), ('light', 0, 2), ('robust', 2, 2), ('light', 1, 1)],
)
def test_what_is_to_be_light_looks_at_every_second_pixel(
  preset, stride, expected
):
  config = _config(preset=preset)
  config.fit.pixel.stride = stride
  assert _pixel_options(config).stride == expected


def test_a_stored_fit_is_what_it_was_trained_as():
  stored = _config(preset='light').unlock()
  for name in ('units', 'colorless', 'stride'):
    del stored.fit.pixel[name]
  found = _pixel_options(stored)
  assert (found.flip, found.units, found.colorless) == (True, 64, False)
  assert found.stride == 1


def test_units_are_those_of_a_layer():
  config = _config()
  config.fit.pixel.units = 16
  params, _ = pixel.initial_variables(fit_options('pixel', config), 19)
  assert params['hidden1']['kernel'].shape == (16, 16)
  assert params['colorless_hidden0']['kernel'].shape[1] == 16


def test_a_single_per_pixel_network_counts_once():
  config = _config(phase2_steps=5)
  config.fit.pixel.colorless = False
  found = phase3.weights_of(failure_options(config))
  assert found == {'pixel': 0.5, 'joint': 0.25, 'conv': 0.25}
  config.phase2_steps = 0
  found = phase3.weights_of(failure_options(config))
  assert found == {'pixel': 0.5, 'conv': 0.5}


@pytest.mark.parametrize(
  ('preset', 'phase2', 'usable'),
  [
    ('robust', 5, 'fsnet fsnet_joint fsnet_pixel fsnet_conv msp'),
    ('robust', 0, 'fsnet fsnet_pixel fsnet_conv msp'),
    ('light', 5, 'fsnet fsnet_joint fsnet_pixel msp'),
    ('paper', 5, 'fsnet fsnet_joint msp'),
    ('paper', 0, 'msp'),
  ],
)
def test_detectors_of_parts_that_there_are_not_are_left_out(
  preset, phase2, usable
):
  config = _config(preset=preset, phase2_steps=phase2)
  config.eval.detectors = (
    *('fsnet', 'fsnet_joint', 'fsnet_pixel', 'fsnet_conv', 'msp'),
  )
  found = failure_parts.usable_detectors(evaluation_options(config))
  assert list(found) == usable.split()
  assert failure_parts.parts_used(failure_options(config), found) == tuple(
    name for name in ('pixel', 'conv') if f'fsnet_{name}' in found
  )


@pytest.fixture(scope='module')
def trained(frozen_config, tmp_path_factory):
  """A run whose phase 3 is done: its config and folder."""
  workdir = tmp_path_factory.mktemp('run')
  small_fit.save_run(frozen_config, workdir, frozen_config.seed)
  (workdir / 'config.json').write_text(
    frozen_config.copy_and_resolve_references().to_json()
  )
  cost = phase3.run(frozen_config, workdir)
  assert cost.images == 2 * 3 * 2 and cost.trainings_of_s == 0
  return frozen_config, workdir


def _s(config, workdir):
  other = copy.deepcopy(config)
  other.init.phase1 = str(workdir)
  return frozen_segmentation.load(other)


def _forward(network, s):
  rng = np.random.default_rng(3)
  images = jnp.asarray(rng.integers(0, 256, (2, 32, 64, 3)), jnp.float32)
  output = network.apply(s, images)
  flipped = network.apply(s, images[:, :, ::-1]).logits[:, :, ::-1]
  return ForwardPass(
    images, output, jnp.zeros((2, 32, 64)), flip_logits=flipped
  )


def test_parts_are_trained_once_and_correct_msp(trained):
  config, workdir = trained
  network, s = _s(config, workdir)
  parts = phase3.load(workdir, ('pixel', 'conv'))

  @jax.jit
  def outputs(variables, s):
    forward = _forward(network, s)
    return [
      part.outputs(variables[name], s, forward) for name, part in parts.items()
    ]

  for found in outputs({n: part.variables for n, part in parts.items()}, s):
    assert found.shape == (2, 32, 64) and np.isfinite(found).all()
    assert np.any(found)  # It has learnt something.
  assert parts['pixel'].uses_flip and not parts['conv'].uses_flip


def test_a_stopped_part_resumes_to_the_same_bits(
  trained, tmp_path, monkeypatch
):
  config, workdir = trained
  over = copy.deepcopy(config)
  over.init.phase1 = str(workdir)
  whole = phase3.load(workdir, ('pixel',))['pixel'].variables

  with monkeypatch.context() as patch:
    patch.setattr(
      fit_loop.loop, '_stop_wanted', lambda stop, number: number == 1
    )
    patch.setattr(fit_loop.StopRequest, 'signal_name', 'SIGTERM')
    with pytest.raises(Interrupted, match='saved at step 1 of pixel'):
      learned_detectors.fit('pixel', over, tmp_path)
  learned_detectors.fit('pixel', over, tmp_path)
  again = learned_detectors.load('pixel', tmp_path).variables
  jax.tree.map(np.testing.assert_array_equal, whole, again)


def test_what_the_balanced_loss_adds_is_known():
  stats = {'errors': {'rate': np.float32(0.2), 'batches': np.float32(3)}}
  offset = balance_offset(stats, (0.5, 0.99))
  assert float(offset) == pytest.approx(np.log(0.8 / 0.2), rel=1e-5)
  assert float(balance_offset(stats, (0.5, 0.6))) == pytest.approx(
    np.log(0.6 / 0.4), rel=1e-5
  )


def test_the_rate_of_errors_is_that_of_the_batches(trained):
  config, workdir = trained
  stats = phase3.load(workdir, ('pixel',))['pixel'].variables['stats']
  assert stats['errors']['batches'] == config.phase3_steps
  assert 0 < stats['errors']['rate'] <= 1


def test_another_mix_is_another_part(trained):
  config, workdir = trained
  other = copy.deepcopy(config)
  other.failure.mix = 'far'
  with pytest.raises(UserError, match="failure.mix was 'balanced'"):
    phase3.run(other, workdir)
  # The preset only says what of it is looked at.
  other.failure.mix = 'balanced'
  other.failure.preset = 'light'
  phase3.run(other, workdir)


def test_a_part_that_is_missing_is_named(trained, tmp_path):
  config, _ = trained
  with pytest.raises(UserError, match='no pixel failure network'):
    phase3.check(config.failure.preset, tmp_path, ('pixel',))


@pytest.fixture
def untyped():
  """Checkpoints are described by states that hold no arrays."""
  jaxtyping.config.update('jaxtyping_disable', True)
  yield
  jaxtyping.config.update('jaxtyping_disable', False)


def test_phase_3_alone_over_an_s_that_was_trained_before(
  trained, tmp_path, untyped
):
  config, workdir = trained
  alone = copy.deepcopy(config)
  alone.phase1_steps = alone.phase2_steps = 0
  alone.init.phase1, alone.init.segmentation = '', str(workdir)
  validation.check(alone)
  for _ in range(2):  # The second finds all of it done.
    with open_workdir(tmp_path, alone):
      trainer(alone, tmp_path).run()
      phase3.run(alone, tmp_path)
  assert sorted(p.name for p in (tmp_path / 'phase3').iterdir()) == [
    'conv',
    'pixel',
  ]
  _, before = _s(config, workdir)
  _, after = _s(alone, tmp_path)
  jax.tree.map(np.testing.assert_array_equal, before, after)


@pytest.mark.parametrize(
  ('steps', 'segmentation', 'words'),
  [(0, 'run', 'all 0: nothing'), (5, '', 'an S of random weights')],
)
def test_without_phases_there_must_be_an_s(steps, segmentation, words):
  config = _config(phase1_steps=0, phase2_steps=0, phase3_steps=steps)
  config.init.segmentation = segmentation
  with pytest.raises(UserError, match=words):
    validation.check(config)
