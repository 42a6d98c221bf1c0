"""The compiled pass: numbers of a strategy are means of the maps shown."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import segxal_unet
from segxal_jax.config import builders
from segxal_jax.config.trainings import model as model_of
from segxal_jax.explanation.step import make_maps_step, make_score_step
from tests.fsnet_jax.models import quick

pytestmark = pytest.mark.slow

SIZE = (32, 32)


@pytest.fixture(scope='module')
def networks():
  config = segxal_unet.get_config('streets')
  config.image_size = SIZE
  config.width = 1 / 32
  model = model_of(config)
  params, batch_stats = model.init(0, SIZE)
  # Batch statistics of a trained network, so that maps are not flat.
  rng = np.random.default_rng(0)
  params = jax.tree.map(
    lambda x: x + 0.3 * rng.standard_normal(x.shape).astype(x.dtype), params
  )
  return model, params, batch_stats, builders.explain_options(config)


@pytest.fixture(scope='module')
def batch():
  rng = np.random.default_rng(1)
  near = rng.random((2, *SIZE)).astype(np.float32)
  near[:, :10] = 0
  usable = np.ones((2, *SIZE), bool)
  usable[:, -4:] = False
  return {
    'image': rng.integers(0, 256, (2, *SIZE, 3)).astype(np.uint8),
    'near': near,
    'usable': usable,
  }


@pytest.fixture(scope='module')
def maps(networks, batch):
  model, params, stats, options = networks
  return jax.device_get(
    quick.jit(make_maps_step(model, options))(params, stats, batch)
  )


def test_maps_are_in_range_and_fused(maps):
  for name in ('entropy', 'cam', 'pae', 'eem', 'confidence'):
    assert maps[name].shape == (2, *SIZE)
    assert maps[name].min() >= 0 and maps[name].max() <= 1 + 1e-6
  np.testing.assert_allclose(
    maps['eem'], 0.5 * maps['pae'] + 0.5 * maps['entropy'], atol=1e-6
  )
  assert maps['prediction'].dtype == np.uint8 and maps['prediction'].max() < 19
  assert not np.allclose(maps['pae'], maps['cam'])


@pytest.mark.parametrize('weights', [None, [1.0, 3.0, 0.0]])
def test_the_mask_can_be_of_what_errors_cost(networks, batch, maps, weights):
  model, params, stats, options = networks
  options = dataclasses.replace(options, near_weight=2.0)
  share = 0.5
  if weights:
    batch = batch | {'weights': np.float32([weights] * 2)}
    share = 0.25
  step = quick.jit(make_maps_step(model, options))
  found = step(params, stats, batch)
  plain = share * maps['pae'] + (1 - share) * maps['entropy']
  expected = plain * (1 + 2 * batch['near']) / 3
  np.testing.assert_allclose(found['eem'], expected, atol=1e-6)
  np.testing.assert_allclose(found['pae'], maps['pae'], atol=1e-6)


def test_scores_are_means_over_usable_pixels(networks, batch, maps):
  model, params, stats, options = networks
  step = quick.jit(
    make_score_step(model, options, ('entropy', 'eem', 'vote_entropy'), True)
  )
  values = step(params, stats, batch, jax.random.key(0))
  for name in ('entropy', 'eem'):
    expected = [m[u].mean() for m, u in zip(maps[name], batch['usable'])]
    np.testing.assert_allclose(values[name], expected, rtol=1e-4)
  assert values['embedding'].shape == (2, 32)
  assert 0 < float(values['vote_entropy'].min()) <= 1


def test_only_what_is_asked_for_is_returned(networks, batch):
  model, params, stats, options = networks
  step = make_score_step(model, options, ('margin',), False)
  shapes = jax.eval_shape(step, params, stats, batch, jax.random.key(0))
  assert set(shapes) == {'margin'}


def test_failure_score_joins_the_mask():
  config = segxal_unet.get_config('streets')
  config.image_size = SIZE
  config.width = 1 / 32
  config.phase2_steps = 1
  config.failure.decoder = 'four_scale'
  config.failure.branches = 'single'
  model = model_of(config)
  params, stats = jax.eval_shape(lambda: model.init(0, SIZE))
  options = dataclasses.replace(builders.explain_options(config), gamma=0.5)
  step = make_maps_step(model, options)
  shapes = jax.eval_shape(
    step,
    params,
    stats,
    {
      'image': jnp.zeros((1, *SIZE, 3), jnp.uint8),
      'near': jnp.zeros((1, *SIZE)),
      'usable': jnp.ones((1, *SIZE), bool),
    },
  )
  assert shapes['failure'].shape == shapes['eem'].shape == (1, *SIZE)
