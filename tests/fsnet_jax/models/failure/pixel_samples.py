"""Random maps of pixels, and a network that is none it begins as."""

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.models.failure.pixel_maps import NUM_SCALARS, PixelMaps


def maps(seed=0, shape=(2, 50), classes=4):
  rng = np.random.default_rng(seed)
  return PixelMaps(
    jnp.asarray(rng.normal(3, 5, (*shape, NUM_SCALARS)), jnp.float32),
    jnp.asarray(rng.integers(classes, size=shape), jnp.int32),
    jnp.asarray(rng.integers(classes, size=shape), jnp.int32),
    jnp.asarray(rng.normal(size=shape), jnp.float32),
  )


def trained(network, maps):
  """Variables whose last layers are not zero."""
  variables = network.init(jax.random.key(0), maps)
  params = jax.tree.map(lambda leaf: leaf + 0.1, variables['params'])
  return {**variables, 'params': params}
