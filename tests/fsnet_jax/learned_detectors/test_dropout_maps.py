"""Per-pixel networks that look at S's passes with dropout."""

import copy
import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from configs import fsnet_fcn8
from fsnet_jax import learned_detectors
from fsnet_jax.builders import networks
from fsnet_jax.builders.fits import fit_options
from fsnet_jax.detectors.base import ForwardPass
from fsnet_jax.evaluation import failure_parts
from fsnet_jax.learned_detectors import fit_loop, frozen_segmentation
from fsnet_jax.learned_detectors.corrections import pixel
from fsnet_jax.models import mc_dropout
from fsnet_jax.models.failure import pixel_maps
from fsnet_jax.models.layers import basic
from fsnet_jax.models.segmentation.protocol import SegmentationOutput
from fsnet_jax.runtime.interrupts import Interrupted
from fsnet_jax.steps.eval_step import DropoutSampling
from tests.fsnet_jax.learned_detectors import small_fit

SAMPLES = 2


class SmallDropping(nn.Module):
  """S in three parts: a layer of features, dropout, a layer of scores."""

  num_classes: int = 19
  dropout_rate: float = 0.5

  def setup(self):
    self.encoder = basic.conv(8, 3, stride=2)
    self.classifier = basic.conv(self.num_classes, 1)
    self.dropout = nn.Dropout(self.dropout_rate)

  def __call__(self, images, train=False):
    x = self.encode(images)
    coarse = self.classifier(self.dropout(x, deterministic=not train))
    return SegmentationOutput(self.upsample(x, coarse, None), x)

  def encode(self, images):
    return nn.relu(self.encoder(images / 255 - 0.5))

  def sample(self, encoded):
    return self.classifier(self.dropout(encoded, deterministic=False))

  @nn.nowrap
  def upsample(self, encoded, coarse, size):
    return coarse.repeat(2, axis=1).repeat(2, axis=2)

  @nn.nowrap
  def check_image_size(self, image_size):
    pass


@pytest.fixture(scope='module')
def fitted(tmp_path_factory):
  """A config whose per-pixel networks look at dropout, and their folder."""
  base = tmp_path_factory.mktemp('dropping')
  with pytest.MonkeyPatch.context() as patch:
    small_fit.replace_networks(patch)
    patch.setitem(
      networks.NETWORKS,
      'fcn8',
      lambda options, common: SmallDropping(dropout_rate=options.dropout_rate),
    )
    patch.setattr(mc_dropout, 'IN_THREE_PARTS', (SmallDropping,))
    config = small_fit.finished_run(base / 's', base / 'data')
    config.fit.pixel.dropout_samples = SAMPLES
    learned_detectors.fit('pixel', config, base / 'whole')
    yield config, base / 'whole'


@pytest.mark.slow
def test_they_resume_to_the_same_bits(fitted, tmp_path, monkeypatch):
  config, folder = fitted
  whole = learned_detectors.load('pixel', folder).variables
  with monkeypatch.context() as patch:
    patch.setattr(
      fit_loop.loop, '_stop_wanted', lambda stop, number: number == 1
    )
    patch.setattr(fit_loop.StopRequest, 'signal_name', 'SIGTERM')
    with pytest.raises(Interrupted, match='saved at step 1 of pixel'):
      learned_detectors.fit('pixel', config, tmp_path)
  learned_detectors.fit('pixel', config, tmp_path)
  again = learned_detectors.load('pixel', tmp_path).variables
  jax.tree.map(np.testing.assert_array_equal, whole, again)


@pytest.mark.slow
def test_they_say_something_else_where_passes_disagree(fitted):
  config, folder = fitted
  network, s = frozen_segmentation.load(config)
  loaded = learned_detectors.load('pixel', folder)
  assert loaded.dropout_samples == SAMPLES
  rng = np.random.default_rng(3)
  images = jnp.asarray(rng.integers(0, 256, (2, 32, 64, 3)), jnp.float32)
  logits = jax.jit(network.apply)(s, images)
  found = jax.jit(
    lambda images: mc_dropout.uncertainty(
      network,
      s,
      images,
      jnp.arange(2),
      key=jax.random.key(0),
      samples=SAMPLES,
    )
  )(images)
  assert found[..., 1].max() > 1e-4
  forward = ForwardPass(
    images,
    logits,
    jnp.zeros(images.shape[:3]),
    flip_logits=logits.logits,
    dropout_uncertainty=found,
  )
  run = jax.jit(lambda forward: loaded.outputs(loaded.variables, s, forward))
  said = run(forward)
  assert said.shape == (2, 32, 64) and np.isfinite(said).all()
  # No constant, of which centring would take its half from all alike.
  more = found * jnp.asarray([1.0, 3.0])
  other = run(dataclasses.replace(forward, dropout_uncertainty=more))
  assert np.abs(said - other).max() > 1e-6


@pytest.mark.slow
def test_another_number_of_passes_is_another_fit(fitted):
  config, folder = fitted
  other = copy.deepcopy(config)
  other.fit.pixel.dropout_samples = SAMPLES + 1
  with pytest.raises(UserError, match='dropout_samples was 2 and is now 3'):
    learned_detectors.fit('pixel', other, folder)


def test_two_more_maps_of_each_pixel():
  config = fsnet_fcn8.get_config()
  rows = {}
  for samples in (0, 1, 8):
    config.fit.pixel.dropout_samples = samples
    options = fit_options('pixel', config)
    params, _ = pixel.initial_variables(options, 19)
    rows[samples] = len(params['hidden0']['kernel'])
  more = rows[0] + pixel_maps.NUM_DROPOUT
  assert rows == {0: rows[0], 1: more, 8: more}


def test_fits_of_before_there_were_any_have_none():
  stored = fsnet_fcn8.get_config().unlock()
  del stored.fit.pixel['dropout_samples']
  assert fit_options('pixel', stored).own.dropout_samples == 0


def test_an_evaluation_draws_as_many_as_they_were_trained_with():
  one = learned_detectors.Loaded({}, lambda *_: None)
  assert failure_parts.sampling_of({}, 3) is None
  assert failure_parts.sampling_of({'conv': one}, 3) is None
  other = dataclasses.replace(one, dropout_samples=8)
  found = failure_parts.sampling_of({'pixel': other, 'conv': one}, 3)
  assert found == DropoutSampling(8, 3)
