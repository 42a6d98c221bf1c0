import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.models.layers import batch_norms

X = jnp.asarray(
  3 + 2 * np.random.default_rng(0).standard_normal((2, 3, 5, 4)), jnp.float32
)


def variables_of(x=X):
  layer = batch_norms.BatchNorm(use_running_average=False)
  variables = layer.init(jax.random.key(0), x)
  rng = np.random.default_rng(1)
  return jax.tree.map(
    lambda leaf: leaf + jnp.asarray(rng.random(leaf.shape), jnp.float32),
    variables,
  )


@pytest.mark.parametrize('train', [True, False])
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16])
def test_it_is_flax_batch_norm(train, dtype):
  variables = variables_of()
  layers = (
    kind(use_running_average=not train, momentum=0.9, epsilon=1e-3, dtype=dtype)
    for kind in (batch_norms.BatchNorm, nn.BatchNorm)
  )
  ours, theirs = (
    layer.apply(variables, X.astype(dtype), mutable=['batch_stats'])
    for layer in layers
  )
  assert ours[0].dtype == dtype
  jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_unbiased_variance_is_over_one_value_less():
  variables = variables_of()
  layer = batch_norms.BatchNorm(use_running_average=False, unbiased=True)
  _, updated = layer.apply(variables, X, mutable=['batch_stats'])
  expected = 0.9 * variables['batch_stats']['var']
  expected += 0.1 * np.var(X, (0, 1, 2), ddof=1)
  np.testing.assert_allclose(updated['batch_stats']['var'], expected, rtol=1e-5)


def test_a_single_value_has_no_variance():
  layer = batch_norms.BatchNorm(use_running_average=False, unbiased=True)
  x = X[:1, :1, :1]
  with pytest.raises(UserError, match='batch_size'):
    layer.apply(variables_of(x), x, mutable=['batch_stats'])


def test_frozen_affine_gets_no_gradient():
  variables = variables_of()

  def loss(params, frozen):
    layer = batch_norms.BatchNorm(
      use_running_average=False, frozen_affine=frozen
    )
    y, _ = layer.apply(
      variables | {'params': params}, X, mutable=['batch_stats']
    )
    return (y**3).sum()

  for frozen in (True, False):
    gradients = jax.grad(loss)(variables['params'], frozen)
    for name in ('scale', 'bias'):
      assert np.any(gradients[name]) == (not frozen)
