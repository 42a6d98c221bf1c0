"""What every segmentation network must do, as checks that tests call."""

import jax
import jax.numpy as jnp
import numpy as np

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import initializers
from tests.fsnet_jax.models import quick


def structs(*size, batch=1):
  """Shape and type of a batch of images."""
  return jax.ShapeDtypeStruct((batch, *size, 3), jnp.float32)


def images(*size, batch=2):
  """Random images, 0..255."""
  values = np.random.default_rng(0).random((batch, *size, 3))
  return jnp.asarray(255 * values, jnp.float32)


def variables_of(network, size=(32, 32)):
  """Initial values."""
  return initializers.host_init(network, 0, structs(*size))


def output_shapes(network, size, variables=None):
  """Shapes and types of the output, without computing it."""
  variables = variables or variables_of(network, size)
  return jax.eval_shape(network.apply, variables, structs(*size))


def num_parameters(module, channels=3):
  """Parameters of a module, without making them."""
  key = jax.eval_shape(lambda: jax.random.key(0))
  x = jax.ShapeDtypeStruct((1, 32, 32, channels), jnp.float32)
  tree = jax.eval_shape(module.init, key, x)['params']
  return sum(leaf.size for leaf in jax.tree.leaves(tree))


def training_pass(network, variables, x):
  """One training-mode pass with random weights on the logits.

  Plain convolutions: the other forms have tests of their own, and take
  longer to compile.

  Returns:
    A function of the parameters: (loss, (output, statistics)), gradients.
  """
  weights = np.random.default_rng(1).standard_normal(
    (*x.shape[:3], network.num_classes)
  )

  def loss_fn(params):
    with conv_forms.use('plain'):
      output, updated = network.apply(
        variables | {'params': params}, x, True, mutable=['batch_stats']
      )
    loss = (output.logits * weights).mean()
    return loss, (output, updated.get('batch_stats', {}))

  return jax.value_and_grad(loss_fn, has_aux=True)


def check_modes(network, x):
  """Compares bfloat16 and remat with the plain network.

  Args:
    network: in float32, without remat, without dropout.
    x: a batch of images.

  Returns:
    Initial variables; the statistics and the gradients of one pass.
  """
  variables = variables_of(network, x.shape[1:3])
  frugal = network.clone(remat=True)
  same = variables_of(frugal, x.shape[1:3])
  jax.tree.map(np.testing.assert_array_equal, variables, same)
  plain, again = (
    quick.jit(training_pass(net, variables, x))(variables['params'])
    for net in (network, frugal)
  )
  largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(plain))
  for ours, expected in zip(jax.tree.leaves(again), jax.tree.leaves(plain)):
    # What a later batch norm takes out has a gradient of rounding alone.
    scale = max(np.abs(expected).max(), 1e-4 * largest)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-4 * scale)
  (_, (output, statistics)), gradients = plain
  half = network.clone(dtype=jnp.bfloat16)
  step = training_pass(half, variables, x)
  _assert_types(jax.eval_shape(step, variables['params']))
  with conv_forms.use('plain'):
    run = quick.jit(lambda x: half.apply(variables, x, True, mutable=True))
    rough = run(x)[0]
  for ours, expected in (
    (rough.logits, output.logits),
    (rough.features, output.features),
  ):
    expected = np.asarray(expected)
    error = np.abs(np.asarray(ours, np.float32) - expected).mean()
    assert 0 < error < 0.1 * np.abs(expected).mean(), error
  return variables, statistics, gradients


def _assert_types(shapes):
  """Compute in bfloat16; everything that lasts in float32."""
  (loss, (output, statistics)), gradients = shapes
  assert output.features.dtype == jnp.bfloat16
  lasting = (loss, output.logits, statistics, gradients)
  assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(lasting))


def assert_all_changed(before, after):
  """Every array of a tree has another value in the other tree."""
  jax.tree.map(_assert_changed, before, after)


def _assert_changed(a, b):
  assert not np.array_equal(a, b)
