"""Monte-Carlo dropout equals the passes it saves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models import mc_dropout
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.unet import UNet
from tests.fsnet_jax.models import quick

SIZE = (32, 64)
NETWORKS = {
  'fcn8': FCN8(
    width=0.02,
    head_width=16,
    padding='same',
    skip_scale=(1.0, 1.0),
    input_scale=1 / 64,
  ),
  'deeplab_v2': DeepLabV2(
    width=1 / 32, blocks=(1, 1, 1, 1), dropout_rate=0.5, input_scale=1 / 64
  ),
}


def _problem(name):
  network = NETWORKS[name]
  shape = jax.ShapeDtypeStruct((1, *SIZE, 3), jnp.float32)
  variables = host_init(network, 0, shape)
  if name == 'deeplab_v2':
    # Untrained, its layers all but silence the signal: louder kernels.
    variables = jax.tree_util.tree_map_with_path(
      lambda path, leaf: 20 * leaf if path[-1].key == 'kernel' else leaf,
      variables,
    )
  rng = np.random.default_rng(1)
  images = jnp.asarray(rng.uniform(0, 255, (2, *SIZE, 3)), jnp.float32)
  return network, variables, images, jnp.array([4, 7])


def _naive(network, variables, image, index, seed, samples):
  """One whole network for each pass, averaged at full size."""
  key = jax.random.fold_in(jax.random.key(seed), index)
  total = 0.0
  for number in range(samples):
    encoded = network.apply(variables, image, method='encode')
    coarse, _ = network.apply(
      variables,
      encoded,
      True,
      method='score',
      rngs={'dropout': jax.random.fold_in(key, number)},
    )
    total += network.apply(variables, encoded, coarse, SIZE, method='upsample')
  return total / samples


@functools.cache
def _run(name):
  """Mean over two passes of both images, of the second alone, and naively."""
  network, variables, images, index = _problem(name)

  @quick.jit
  def run(variables, images, index):
    def mean(images, index):
      return mc_dropout.mean_logits(
        network, variables, images, index, seed=3, samples=2
      )

    return {
      'both': mean(images, index),
      'second': mean(images[1:], index[1:]),
      'naive': _naive(network, variables, images[1:], index[1], 3, 2),
      'plain': network.apply(variables, images).logits,
    }

  return run(variables, images, index)


@pytest.mark.slow
@pytest.mark.parametrize('name', NETWORKS)
def test_mean_is_that_of_whole_passes(name):
  found = _run(name)
  assert found['both'].shape == found['plain'].shape
  assert found['both'].dtype == jnp.float32
  scale = float(jnp.abs(found['naive']).max())
  np.testing.assert_allclose(found['second'], found['naive'], atol=1e-5 * scale)
  # Dropout is really on.
  assert float(jnp.abs(found['both'] - found['plain']).max()) > 1e-3 * scale


@pytest.mark.parametrize('name', NETWORKS)
def test_an_image_draws_the_same_masks_in_any_batch(name):
  found = _run(name)
  scale = float(jnp.abs(found['both']).max())
  np.testing.assert_allclose(
    found['both'][1:], found['second'], atol=1e-5 * scale
  )


@pytest.mark.parametrize(
  ('network', 'words'),
  [
    (UNet(), 'UNet is not'),
    (DeepLabV2(), 'config.segmentation.dropout_rate'),
    (DeepLabV2(head='v2', dropout_rate=0.5), "head='synthcp'"),
    (FCN8(dropout_rate=0.0), 'config.segmentation.dropout_rate'),
  ],
)
def test_network_that_cannot_says_why(network, words):
  assert words in mc_dropout.problem(network)


def test_networks_with_dropout_have_no_problem():
  assert all(mc_dropout.problem(n) is None for n in NETWORKS.values())
