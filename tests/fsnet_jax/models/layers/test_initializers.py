import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from fsnet_jax.models.failure import failure_net
from fsnet_jax.models.layers import basic, initializers
from fsnet_jax.models.segmentation import fcn8

KERNEL = (3, 3, 40, 60)


def draws(initializer, shape):
  """The same initialiser by both ways of drawing."""
  host = initializer.draw(np.random.default_rng(0), shape)
  device = np.asarray(initializer(jax.random.key(0), shape))
  assert host.dtype == device.dtype == np.float32
  assert host.shape == device.shape == shape
  return host, device


@pytest.mark.parametrize(
  ('initializer', 'distribution'),
  [
    (initializers.he_fan_out(), stats.norm(0, np.sqrt(2 / (9 * 60)))),
    (initializers.he_fan_in(), stats.norm(0, np.sqrt(2 / (9 * 40)))),
    (
      initializers.uniform_fan_in(),
      stats.uniform(-1 / np.sqrt(360), 2 / np.sqrt(360)),
    ),
  ],
)
def test_distribution(initializer, distribution):
  for values in draws(initializer, KERNEL):
    # 21600 draws; a wrong scale by 3% has a p-value below 1e-4.
    assert stats.kstest(values.ravel(), distribution.cdf).pvalue > 1e-3


def test_bias_takes_its_kernels_fan():
  for values in draws(initializers.uniform_fan_in(400), (5000,)):
    assert np.abs(values).max() <= 0.05
    assert np.abs(values).max() > 0.049


def test_constants():
  for value, initializer in (
    (0.0, initializers.zeros),
    (1.0, initializers.ones),
    (-2.5, initializers.constant(-2.5)),
  ):
    for values in draws(initializer, (3, 2)):
      np.testing.assert_array_equal(values, value)


class Small(nn.Module):
  """Convolution, batch norm, and a second branch on request."""

  wide: bool = False

  @nn.compact
  def __call__(self, x, train=False):
    x = basic.conv(8, 3, name='first')(x)
    x = basic.batch_norm(train, name='norm')(x)
    if self.wide:
      x = basic.conv(16, 3, name='between')(x)
    return basic.conv(8, 1, kernel_init=initializers.he_fan_in(), name='last')(
      x if not self.wide else x[..., :8]
    )


SHAPE = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)


def test_host_init_is_concrete_and_follows_the_seed():
  first = initializers.host_init(Small(), 3, SHAPE)
  again = initializers.host_init(Small(), 3, SHAPE)
  other = initializers.host_init(Small(), 4, SHAPE)
  assert all(type(leaf) is np.ndarray for leaf in jax.tree.leaves(first))
  jax.tree.map(np.testing.assert_array_equal, first, again)
  kernel = first['params']['first']['kernel']
  assert not np.array_equal(kernel, other['params']['first']['kernel'])
  assert not np.array_equal(
    kernel[0, 0].ravel(), first['params']['last']['kernel'].ravel()[:24]
  )
  np.testing.assert_array_equal(first['batch_stats']['norm']['mean'], 0)
  np.testing.assert_array_equal(first['batch_stats']['norm']['var'], 1)
  np.testing.assert_array_equal(first['params']['norm']['scale'], 1)
  np.testing.assert_array_equal(first['params']['norm']['bias'], 0)


CALLS: list = []


class Counted(Small):
  sizes: tuple[int, ...] | list[int] = ()

  def __call__(self, x, train=False):
    CALLS.append(self.sizes)
    return super().__call__(x, train)


@pytest.mark.parametrize(
  ('sizes', 'traces'),
  # A list may change, so that nothing is known of a module that has one.
  [((1,), 1), ([1], 2)],
)
def test_equal_modules_are_traced_once(sizes, traces):
  CALLS.clear()
  first, again = (
    initializers.host_init(Counted(sizes=sizes), 3, SHAPE) for _ in range(2)
  )
  assert len(CALLS) == traces
  jax.tree.map(np.testing.assert_array_equal, first, again)
  # What was drawn is the caller's own.
  first['params']['first']['kernel'][:] = 0
  assert again['params']['first']['kernel'].any()


def test_shapes_are_those_of_what_is_drawn_and_of_the_output():
  CALLS.clear()
  module = Counted(sizes=(2,))
  output, shapes = initializers.host_shapes(module, SHAPE)
  drawn = initializers.host_init(module, 3, SHAPE)
  assert len(CALLS) == 1
  assert jax.tree.structure(shapes) == jax.tree.structure(drawn)
  for ours, theirs in zip(jax.tree.leaves(shapes), jax.tree.leaves(drawn)):
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
  made = module.apply(drawn, np.zeros(SHAPE.shape, np.float32))
  assert (output.shape, output.dtype) == (made.shape, made.dtype)


def test_another_input_is_another_tree():
  wide = jax.ShapeDtypeStruct((2, 8, 8, 5), jnp.float32)
  shapes = [
    initializers.host_init(Small(), 3, x)['params']['first']['kernel'].shape
    for x in (SHAPE, wide)
  ]
  assert shapes == [(3, 3, 3, 8), (3, 3, 5, 8)]


def test_variants_share_what_they_have_in_common():
  narrow = initializers.host_init(Small(), 3, SHAPE)['params']
  wide = initializers.host_init(Small(wide=True), 3, SHAPE)['params']
  assert 'between' in wide and 'between' not in narrow
  for name in narrow:
    jax.tree.map(np.testing.assert_array_equal, narrow[name], wide[name])


def test_two_seeds_of_one_kernel_are_independent():
  shape = jax.ShapeDtypeStruct((1, 8, 8, 64), jnp.float32)
  kernels = [
    initializers.host_init(Small(), seed, shape)['params']['first']['kernel']
    for seed in (0, 1)
  ]
  correlation = stats.pearsonr(*[kernel.ravel() for kernel in kernels])
  assert correlation.pvalue > 1e-3


@pytest.mark.parametrize(
  ('module', 'shapes'),
  [
    (fcn8.FCN8(5, 0.125, 16), [(1, 32, 64, 3)]),
    (
      failure_net.FailureNet(0.125),
      [(1, 32, 64, 3), (1, 32, 64, 5), (1, 1, 2, 16)],
    ),
  ],
)
def test_both_ways_give_one_tree(module, shapes):
  inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
  host = initializers.host_init(module, 0, *inputs)
  key = jax.eval_shape(lambda: jax.random.key(0))
  device = jax.eval_shape(module.init, key, *inputs)
  assert jax.tree.structure(host) == jax.tree.structure(device)
  for ours, theirs in zip(jax.tree.leaves(host), jax.tree.leaves(device)):
    assert ours.shape == theirs.shape
    assert ours.dtype == theirs.dtype
    assert np.isfinite(ours).all()


def test_a_foreign_initialiser_is_named():
  with pytest.raises(TypeError, match='params/bias'):
    initializers.host_init(nn.Dense(4), 0, SHAPE)


def test_failure_inside_leaves_no_trace():
  class Broken(nn.Module):
    @nn.compact
    def __call__(self, x):
      basic.conv(8, 3)(x)
      raise RuntimeError('on purpose')

  with pytest.raises(RuntimeError, match='on purpose'):
    initializers.host_init(Broken(), 0, SHAPE)
  value = initializers.he_fan_in()(jax.random.key(0), (1, 1, 4, 4))
  assert np.any(np.asarray(value))
