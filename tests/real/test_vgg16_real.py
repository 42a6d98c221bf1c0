"""The real VGG16 weights, where a machine has them.

Set VGG16_WEIGHTS to the .npz archive; `fsnet_jax.weights.vgg_hed` says which.
"""

import os

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.layers import initializers
from fsnet_jax.models.segmentation import fcn8, vgg
from fsnet_jax.weights import vgg_hed


@pytest.fixture(scope='module')
def params():
  path = os.environ.get('VGG16_WEIGHTS')
  if not path:
    pytest.skip('VGG16_WEIGHTS is not set: the weights are not shipped.')
  shape = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
  network = fcn8.FCN8(head_width=16)
  params = initializers.host_init(network, 0, shape)['params']
  loaded, _ = vgg_hed.load_vgg16_npz(path, params)
  return loaded['vgg']


def drawn_street():
  """Sky, road, a red box with a black window: edges, colours, flat areas."""
  image = np.empty((96, 128, 3), np.float32)
  image[:48] = (130, 170, 220)
  image[48:] = (95, 90, 95)
  image[30:70, 40:90] = (190, 30, 40)
  image[38:50, 50:80] = (20, 20, 25)
  noise = np.random.default_rng(0).normal(0, 4, image.shape)
  return np.clip(image + noise, 0, 255).astype(np.float32)


def encode(params, image):
  x = jnp.asarray(image - np.array(fcn8.MEAN_RGB, np.float32))[None]
  return jax.jit(vgg.VGG16().apply)({'params': params}, x)


def test_features_have_the_magnitude_of_the_trained_network(params):
  pools = encode(params, drawn_street())
  for name, values in pools.items():
    values = np.asarray(values)
    assert np.isfinite(values).all()
    # Inputs of +-128 give means of a few units ...
    assert 1 < values.mean() < 30, (name, values.mean())
    # ... and peaks far above them where a filter finds what it is for. With
    # random kernels of the same scale the ratio is about 10.
    assert values.max() > 15 * values.mean(), name
    assert (values.max((0, 1, 2)) > 0).mean() > 0.5, name


def test_the_order_of_channels_matters(params):
  # The first layer of a network trained on photographs has opponent colour
  # filters; with red and blue exchanged the features of a red box change.
  image = drawn_street()
  right = np.asarray(encode(params, image)['pool3'])
  wrong = np.asarray(encode(params, image[..., ::-1])['pool3'])
  error = np.linalg.norm(right - wrong) / np.linalg.norm(right)
  assert error > 0.1
