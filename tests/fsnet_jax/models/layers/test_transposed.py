"""The CPU's forms of the transposed convolution against XLA's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import transposed
from tests.fsnet_jax.models import quick


def values(seed, *shape):
  rng = np.random.default_rng(seed)
  return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def run(choice, x, kernel, g):
  """Value and both gradients under a choice of forms."""
  layer = transposed.UpConv(kernel.shape[2])

  def upsample(x, kernel):
    params = {'kernel': kernel, 'bias': jnp.zeros(kernel.shape[2])}
    with conv_forms.use(choice):
      return layer.apply({'params': params}, x)

  @quick.jit
  def with_gradients(x, kernel, g):
    value, pull = jax.vjp(upsample, x, kernel)
    return (value, *pull(g))

  return with_gradients(x, kernel, g)


# The last two have cells enough for four outputs at once.
@pytest.mark.parametrize('size', [(1, 1), (3, 5), (12, 16), (13, 17)])
@pytest.mark.parametrize('choice', ['cpu', 'undilated'])
def test_forms_are_the_transposed_convolution(choice, size):
  rows, columns = size
  x, kernel = values(0, 2, *size, 5), values(1, 3, 3, 4, 5)
  g = values(2, 2, 2 * rows, 2 * columns, 4)
  for ours, expected in zip(
    run(choice, x, kernel, g), run('plain', x, kernel, g)
  ):
    assert ours.shape == expected.shape
    np.testing.assert_allclose(
      ours, expected, atol=2e-6 * np.abs(expected).max(), rtol=0
    )


@pytest.mark.parametrize(
  ('choice', 'size', 'convolutions'),
  [('cpu', (12, 16), 1), ('cpu', (12, 15), 0), ('undilated', (12, 16), 0)],
)
def test_which_form_is_taken(choice, size, convolutions):
  x, kernel = jnp.zeros((1, *size, 2)), jnp.zeros((3, 3, 2, 2))

  def upsample(x, kernel):
    params = {'kernel': kernel, 'bias': jnp.zeros(2)}
    with conv_forms.use(choice):
      return transposed.UpConv(2).apply({'params': params}, x)

  program = str(jax.make_jaxpr(upsample)(x, kernel))
  assert program.count('conv_general_dilated[') == convolutions
  assert 'lhs_dilation=(2, 2)' not in program


def test_half_precision_is_summed_in_single():
  # 3600 cells: rounded after each, a sum would err by percents.
  x, kernel = values(0, 1, 60, 60, 4), values(1, 3, 3, 4, 4)
  g = jnp.ones((1, 120, 120, 4))
  half = [a.astype(jnp.bfloat16) for a in (x, kernel, g)]

  def kernel_gradient(choice, x, kernel, g):
    form = transposed._by_taps if choice == 'cpu' else transposed._plain
    with conv_forms.use(choice):
      return jax.vjp(lambda kernel: form(x, kernel), kernel)[1](g)[0]

  ours = kernel_gradient('cpu', *half)
  exact = kernel_gradient('plain', *[a.astype(jnp.float32) for a in half])
  assert ours.dtype == jnp.bfloat16
  error = np.abs(ours.astype(jnp.float32) - exact).max()
  assert error <= 2.0**-8 * np.abs(exact).max()
