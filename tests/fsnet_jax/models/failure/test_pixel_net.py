"""The per-pixel network: standardisation, its start at MSP, class-centring."""

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.models.failure.pixel_maps import (
  COLORS,
  NUM_SCALARS,
)
from fsnet_jax.models.failure.pixel_net import (
  PixelFailureNet,
  RunningStandardization,
)
from tests.fsnet_jax.models.failure import pixel_samples


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
  maps = pixel_samples.maps()
  network = PixelFailureNet(num_classes=4)
  variables = network.init(jax.random.key(0), maps)
  np.testing.assert_array_equal(network.apply(variables, maps), 0)


def test_dropout_and_statistics_in_training_alone():
  maps = pixel_samples.maps()
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


def test_the_second_network_sees_no_color():
  maps = pixel_samples.maps()
  network = PixelFailureNet(num_classes=4)
  variables = pixel_samples.trained(network, maps)

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
  maps = pixel_samples.maps()
  network = PixelFailureNet(num_classes=4, colorless=False)
  variables = pixel_samples.trained(network, maps)
  assert not [name for name in variables['params'] if 'colorless' in name]
  found = network.apply(variables, maps, method='members')
  assert found.shape == (2, 50, 1)
  np.testing.assert_array_equal(found[..., 0], network.apply(variables, maps))
