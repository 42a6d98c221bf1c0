"""The per-pixel network: standardisation, its start at MSP, class-centring."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.failure.pixel_maps import (
  COLORS,
  NUM_SCALARS,
  PixelMaps,
)
from fsnet_jax.models.failure.pixel_net import (
  PixelFailureNet,
  RunningStandardization,
  centred,
  corrections,
)


def _maps(seed=0, shape=(2, 50), classes=4):
  rng = np.random.default_rng(seed)
  return PixelMaps(
    jnp.asarray(rng.normal(3, 5, (*shape, NUM_SCALARS)), jnp.float32),
    jnp.asarray(rng.integers(classes, size=shape), jnp.int32),
    jnp.asarray(rng.integers(classes, size=shape), jnp.int32),
    jnp.asarray(rng.normal(size=shape), jnp.float32),
  )


def _learn(batches):
  module = RunningStandardization()
  variables = module.init(jax.random.key(0), *batches[0], False)
  for values, valid in batches:
    _, variables = module.apply(
      variables, values, valid, True, mutable=['batch_stats']
    )
  return module, variables


def test_statistics_are_those_of_all_valid_values():
  rng = np.random.default_rng(1)
  batches = [
    (
      jnp.asarray(rng.normal((5, -2), (2, 0.5), (3, 40, 2)), jnp.float32),
      jnp.asarray(rng.random((3, 40)) < 0.7, jnp.float32),
    )
    for _ in range(6)
  ]
  module, variables = _learn(batches)
  # Batches count alike, as long as there are few.
  means = [np.average(v, (0, 1), np.dstack([m, m])) for v, m in batches]
  squares = [np.average(v**2, (0, 1), np.dstack([m, m])) for v, m in batches]
  mean = np.mean(means, 0)
  deviation = np.sqrt(np.mean(squares, 0) - mean**2)
  values, valid = batches[0]
  found = module.apply(variables, values, valid, False)
  expected = (np.asarray(values) - mean) / np.sqrt(deviation**2 + 1e-4)
  np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_a_batch_without_pixels_changes_no_statistics():
  values = jnp.ones((1, 4, 2))
  module, before = _learn([(values, jnp.ones((1, 4)))])
  _, after = module.apply(
    before, 7 * values, jnp.zeros((1, 4)), True, mutable=['batch_stats']
  )
  jax.tree.map(np.testing.assert_array_equal, before, after)


def test_a_map_that_never_changes_stays_finite():
  values = jnp.full((1, 4, 2), 123.0)
  module, variables = _learn([(values, jnp.ones((1, 4)))])
  found = module.apply(variables, values, jnp.ones((1, 4)), False)
  np.testing.assert_allclose(found, 0, atol=1e-3)


def test_begins_as_msp():
  maps = _maps()
  network = PixelFailureNet(num_classes=4)
  variables = network.init(jax.random.key(0), maps)
  np.testing.assert_array_equal(network.apply(variables, maps), 0)


def test_dropout_and_statistics_in_training_alone():
  maps = _maps()
  network = PixelFailureNet(num_classes=4)
  variables = network.init(jax.random.key(0), maps)
  params = dict(variables['params'])
  kernel = params['correction']['kernel']
  params['correction'] = {**params['correction'], 'kernel': kernel + 1.0}
  variables = {**variables, 'params': params}

  def train(key):
    return network.apply(
      variables,
      maps,
      train=True,
      rngs={'dropout': jax.random.key(key)},
      mutable=['batch_stats'],
    )[0]

  assert not np.array_equal(train(0), train(1))
  np.testing.assert_array_equal(train(0), train(0))
  once = network.apply(variables, maps)
  np.testing.assert_array_equal(once, network.apply(variables, maps))


def _trained(network, maps):
  """Variables whose last layers are not zero."""
  variables = network.init(jax.random.key(0), maps)
  params = jax.tree.map(lambda leaf: leaf + 0.1, variables['params'])
  return {**variables, 'params': params}


def test_the_second_network_sees_no_color():
  maps = _maps()
  network = PixelFailureNet(num_classes=4)
  variables = _trained(network, maps)

  def members(maps):
    return network.apply(variables, maps, method='members')

  other = maps.scalars.at[..., jnp.asarray(COLORS)].add(3.0)
  before, after = members(maps), members(maps.replace(scalars=other))
  assert before.shape == (2, 50, 2)
  assert (before[..., 0] != after[..., 0]).mean() > 0.9
  np.testing.assert_array_equal(before[..., 1], after[..., 1])
  np.testing.assert_allclose(
    network.apply(variables, maps), before.mean(-1), rtol=1e-6
  )
  # But all the rest.
  for place in set(range(NUM_SCALARS)) - set(COLORS):
    changed = members(
      maps.replace(scalars=maps.scalars.at[..., place].add(3.0))
    )
    assert (before[..., 1] != changed[..., 1]).mean() > 0.9


def test_without_it_there_is_the_first_alone():
  maps = _maps()
  network = PixelFailureNet(num_classes=4, colorless=False)
  variables = _trained(network, maps)
  assert not [name for name in variables['params'] if 'colorless' in name]
  found = network.apply(variables, maps, method='members')
  assert found.shape == (2, 50, 1)
  np.testing.assert_array_equal(found[..., 0], network.apply(variables, maps))


@pytest.mark.parametrize('shape', [(1, 67, 61), (3, 31, 47), (2500, 1, 3)])
def test_pixels_a_few_at_a_time_are_all_of_them(shape):
  maps = _maps(shape=shape)
  network = PixelFailureNet(num_classes=4)
  variables = _trained(network, maps)
  found = {}
  for form in ('cpu', 'plain'):
    with conv_forms.use(form):
      found[form] = corrections(network, variables, maps)
  assert found['cpu'].shape == shape
  np.testing.assert_allclose(found['cpu'], found['plain'], rtol=1e-5, atol=1e-5)
  np.testing.assert_array_equal(found['plain'], network.apply(variables, maps))


@pytest.mark.parametrize('form', ['cpu', 'plain'])
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
