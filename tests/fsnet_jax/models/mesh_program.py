"""Run on several CPU devices: a split batch gives what a whole one gives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import initializers
from tests.fsnet_jax.models import quick, small_networks


def random(*shape):
  values = np.random.default_rng(0).standard_normal(shape)
  return jnp.asarray(values, jnp.float32)


def assert_close(ours, expected, relative):
  for mine, theirs in zip(jax.tree.leaves(ours), jax.tree.leaves(expected)):
    scale = max(np.abs(theirs).max(), 1e-3)
    np.testing.assert_allclose(mine, theirs, atol=relative * scale, rtol=0)


def check_forms(split, whole, count):
  """Gradients of rewritten layers against plain ones on one device."""
  network = small_networks.Net()
  x = random(count, 15, 18, 6)
  shape = jax.ShapeDtypeStruct(x.shape, x.dtype)
  params = initializers.host_init(network, 0, shape)

  def loss(choice, params, x):
    with conv_forms.use(choice):
      return (network.apply(params, x) ** 2).mean()

  plain, ours = (
    jax.value_and_grad(functools.partial(loss, choice))
    for choice in ('plain', 'cpu')
  )
  expected = quick.jit(plain)(params, x)
  step = quick.jit(ours, in_shardings=(whole, split), out_shardings=whole)
  result = step(jax.device_put(params, whole), jax.device_put(x, split))
  assert_close(result, expected, 1e-5)


def check_batch_statistics(split, count):
  """Batch statistics are of the whole batch, wherever its parts are."""
  network = small_networks.fsnet()
  state = network.init(0, small_networks.SIZE)
  images = 100 + 40 * random(count, *small_networks.SIZE, 3)
  key = jax.random.key(4)
  run = quick.jit(small_networks.train_step, static_argnums=0)
  expected = run(network, *state, images, key)
  ours = run(network, *state, jax.device_put(images, split), key)
  assert_close(ours, expected, 1e-4)


def main():
  count = jax.device_count()
  assert count == 4
  mesh = jax.make_mesh((count,), ('data',), axis_types=(AxisType.Auto,))
  split = NamedSharding(mesh, PartitionSpec('data'))
  check_forms(split, NamedSharding(mesh, PartitionSpec()), count)
  check_batch_statistics(split, count)
  print('agreed')


if __name__ == '__main__':
  main()
