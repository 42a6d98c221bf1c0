"""The per-pixel network as it is run: its layers folded, classes centred."""

import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.failure.pixel_inference import centred, corrections
from fsnet_jax.models.failure.pixel_net import PixelFailureNet
from tests.fsnet_jax.models.failure import pixel_samples


@pytest.mark.parametrize('colorless', [True, False])
@pytest.mark.parametrize('hidden', [(6,), (8, 5, 7)])
@pytest.mark.parametrize('form', ['cpu', 'plain', 'onnx'])
def test_folded_layers_say_what_the_network_says(form, hidden, colorless):
  maps = pixel_samples.maps(shape=(2, 5, 7))
  network = PixelFailureNet(4, hidden=hidden, colorless=colorless)
  variables = pixel_samples.trained(network, maps)
  with conv_forms.use(form):
    found = corrections(network, variables, maps)
  expected = network.apply(variables, maps)
  assert np.ptp(expected) > 0.1
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('shape', [(1, 67, 61), (3, 31, 47), (2500, 1, 3)])
def test_pixels_a_few_at_a_time_are_all_of_them(shape):
  maps = pixel_samples.maps(shape=shape)
  network = PixelFailureNet(num_classes=4)
  variables = pixel_samples.trained(network, maps)
  found = {}
  for form in ('cpu', 'plain'):
    with conv_forms.use(form):
      found[form] = corrections(network, variables, maps)
  assert found['cpu'].shape == shape
  np.testing.assert_allclose(found['cpu'], found['plain'], rtol=1e-5, atol=1e-5)


def test_a_map_that_never_changed_says_nothing_until_it_does():
  # Its deviation is 0: what it is divided by must not overflow.
  maps = pixel_samples.maps(shape=(1, 3, 4))
  scalars = maps.scalars.at[..., 2].set(40.0)
  maps = maps.replace(scalars=scalars)
  network = PixelFailureNet(num_classes=4)
  variables = pixel_samples.trained(network, maps)
  found = corrections(network, variables, maps)
  expected = network.apply(variables, maps)
  np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize('form', ['cpu', 'plain', 'onnx'])
@pytest.mark.parametrize('share', [0.0, 0.5, 1.0])
def test_centring_against_loops(share, form):
  rng = np.random.default_rng(2)
  corrections = rng.normal(size=(2, 5, 6)).astype(np.float32)
  first = rng.integers(3, size=(2, 5, 6))
  valid = (rng.random((2, 5, 6)) < 0.6).astype(np.float32)
  expected = corrections.copy()
  for image in range(2):
    for label in range(3):
      mine = first[image] == label
      counted = mine & (valid[image] > 0)
      mean = corrections[image][counted].mean() if counted.any() else 0.0
      expected[image][mine] -= share * mean
  with conv_forms.use(form):
    found = centred(*map(jnp.asarray, (corrections, first, valid)), 3, share)
  np.testing.assert_allclose(found, expected, atol=1e-6)


def test_centring_of_an_image_without_labels_changes_nothing():
  corrections = jnp.ones((1, 4))
  first, valid = jnp.zeros((1, 4), jnp.int32), jnp.zeros((1, 4))
  found = centred(corrections, first, valid, 3, 0.5)
  np.testing.assert_array_equal(found, corrections)
