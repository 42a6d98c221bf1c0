import jax
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models import fsnet
from fsnet_jax.models.failure import failure_net
from fsnet_jax.models.segmentation import fcn8
from tests.fsnet_jax.models import small_networks

SIZE = small_networks.SIZE


@pytest.fixture(scope='module')
def network():
  return small_networks.fsnet()


@pytest.fixture(scope='module')
def state(network):
  return network.init(0, SIZE)


@pytest.fixture(scope='module')
def images():
  return 255 * jax.random.uniform(jax.random.key(0), (4, *SIZE, 3))


def test_init(network, state):
  params, batch_stats = state
  assert set(params) == set(batch_stats) == {'segmentation', 'failure'}
  again = network.init(0, SIZE)
  jax.tree.map(np.testing.assert_array_equal, state, again)
  other, _ = network.init(1, SIZE)
  for name in params:
    kernel = params[name]['encoder']['kernel']
    assert not np.array_equal(kernel, other[name]['encoder']['kernel'])
  with pytest.raises(UserError, match='odd height'):
    network.init(0, (7, 12))


def test_init_of_the_real_networks():
  network = fsnet.FSNet(fcn8.FCN8(5, 0.125, 16), failure_net.FailureNet(0.125))
  params, batch_stats = network.init(0, (48, 70))
  assert batch_stats['segmentation'] == {}
  # z: 64 channels of each ResNet18 and of pool5.
  kernel = params['failure']['decoder']['project']['conv']['kernel']
  assert kernel.shape == (1, 1, 192, 32)
  assert params['failure']['w1']['kernel'].shape == (1, 1, 5, 1)
  hash(network)  # A static argument of jit.


def test_evaluation_is_deterministic_and_keeps_statistics(
  network, state, images
):
  params, batch_stats = state

  @jax.jit
  def run(params, batch_stats):
    output, stats = network.segment(params, batch_stats, images)
    logits, stats = network.detect(params, stats, images, output)
    return output.logits, logits, stats

  first, second = run(params, batch_stats), run(params, batch_stats)
  jax.tree.map(np.testing.assert_array_equal, first, second)
  seg_logits, failure_logits, stats = first
  assert seg_logits.shape == (4, *SIZE, 5)
  assert failure_logits.shape == (4, *SIZE)
  jax.tree.map(np.testing.assert_array_equal, stats, batch_stats)


def differing(new, old):
  """For each leaf, whether any value differs."""
  trees = jax.tree.map(lambda a, b: bool(np.any(a != b)), new, old)
  return jax.tree.leaves(trees)


def test_training_moves_statistics_of_the_network_that_ran(
  network, state, images
):
  params, batch_stats = state
  run = jax.jit(small_networks.train_step, static_argnums=0)
  one, again, two = (
    run(network, params, batch_stats, images, jax.random.key(n))
    for n in (1, 1, 2)
  )
  jax.tree.map(np.testing.assert_array_equal, one, again)
  assert not np.allclose(one[0], two[0])  # dropout
  after_s, after_f = one[2:]
  assert jax.tree.structure(after_f) == jax.tree.structure(batch_stats)
  assert all(differing(after_s['segmentation'], batch_stats['segmentation']))
  assert not any(differing(after_s['failure'], batch_stats['failure']))
  assert not any(differing(after_f['segmentation'], after_s['segmentation']))
  assert all(differing(after_f['failure'], batch_stats['failure']))


@pytest.mark.parametrize('stop', [False, True])
def test_gradient_into_the_segmentation_network(network, state, images, stop):
  params, batch_stats = state

  def loss(params):
    output, stats = network.segment(params, batch_stats, images)
    logits, _ = network.detect(
      params,
      stats,
      images,
      output,
      True,
      stop_gradient_to_segmentation=stop,
    )
    return (logits**2).mean()

  gradients = jax.jit(jax.grad(loss))(params)
  assert np.any(gradients['failure']['encoder']['kernel'])
  for name in ('score', 'encoder'):
    assert np.any(gradients['segmentation'][name]['kernel']) != stop
