"""`remat` computes each block again, and changes nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.failure import failure_net
from fsnet_jax.models.layers import initializers
from fsnet_jax.models.segmentation import deeplab_v2, fcn8, unet, vgg
from tests.fsnet_jax.models import contract, quick

SIZE = (32, 48)


def structs_of(network):
  """Shapes of what a network is called with."""
  images = contract.structs(*SIZE, batch=2)
  if not isinstance(network, failure_net.FailureNet):
    return (images,)
  logits = jax.ShapeDtypeStruct((2, *SIZE, 5), jnp.float32)
  return images, logits, jax.ShapeDtypeStruct((2, 1, 2, 8), jnp.float32)


def num_blocks(network):
  """Rematerialised blocks in a training-mode pass."""
  inputs = structs_of(network)
  variables = initializers.host_init(network, 0, *inputs)

  def run(variables, inputs):
    return network.apply(
      variables,
      *inputs,
      train=True,
      rngs={'dropout': jax.random.key(0)},
      mutable=['batch_stats'],
    )

  jaxpr = jax.make_jaxpr(run)(variables, inputs)
  names = [equation.primitive.name for equation in jaxpr.eqns]
  return sum('remat' in name or 'checkpoint' in name for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('network', 'blocks'),
  [
    (fcn8.FCN8(width=1 / 16, padding='pad99'), 5),
    (deeplab_v2.DeepLabV2(width=1 / 16, blocks=(1, 2, 1, 1)), 5 + 1),
    (unet.UNet(width=1 / 64), 5 + 4),
    (failure_net.FailureNet(1 / 16, branches='single'), 8 + 6),
  ],
  ids=lambda value: type(value).__name__,
)
def test_number_of_blocks(network, blocks):
  assert num_blocks(network) == 0
  assert num_blocks(network.clone(remat=True)) == blocks


def test_values_and_gradients_of_vgg16():
  x = contract.images(*SIZE)
  networks = [vgg.VGG16(1 / 16, remat=remat) for remat in (False, True)]
  plain, frugal = (
    initializers.host_init(net, 0, contract.structs(*SIZE)) for net in networks
  )
  jax.tree.map(np.testing.assert_array_equal, plain, frugal)

  def loss(variables, network):
    with conv_forms.use('plain'):  # It compiles soonest.
      pools = network.apply(variables, x / 255)
    return sum((pool**2).sum() for pool in pools.values())

  step = quick.jit(jax.value_and_grad(loss), static_argnums=1)
  results = [step(plain, network) for network in networks]
  for ours, expected in zip(*map(jax.tree.leaves, results)):
    scale = np.abs(expected).max()
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-5 * scale)
