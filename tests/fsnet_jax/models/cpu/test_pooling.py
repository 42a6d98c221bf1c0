import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms, pooling
from tests.fsnet_jax.models import quick


def ties(size):
  """Few distinct values, so that most cells have ties; -inf and zero too."""
  rng = np.random.default_rng(0)
  x = rng.choice([-np.inf, -1.0, 0.0, 2.0], (3, *size, 4))
  return jnp.asarray(x, jnp.float32)


def both_forms(pool, x):
  """(value, gradient) by the CPU's form and by XLA's own."""

  def run(choice, x):
    with conv_forms.use(choice):
      return pool(x)

  shape = jax.eval_shape(functools.partial(run, 'plain'), x).shape
  # Whole numbers: their sums are exact in any order.
  g = np.random.default_rng(1).integers(-9, 10, shape).astype(np.float32)

  @quick.jit
  def value_and_gradient(x, g):
    results = [
      jax.vjp(functools.partial(run, choice), x) for choice in ('cpu', 'plain')
    ]
    return [(y, pull(g)[0]) for y, pull in results]

  return value_and_gradient(x, g)


@pytest.mark.parametrize('ceil_mode', [False, True])
@pytest.mark.parametrize('size', [(6, 8), (7, 5)])
def test_cells_of_two_are_bit_equal_with_ties(size, ceil_mode):
  pool = functools.partial(pooling.max_pool_2x2, ceil_mode=ceil_mode)
  ours, expected = both_forms(pool, ties(size))
  halves = [-(-n // 2) if ceil_mode else n // 2 for n in size]
  assert ours[0].shape == (3, *halves, 4)
  for mine, theirs in zip(ours, expected):
    np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize('ceil_mode', [False, True])
@pytest.mark.parametrize('size', [(6, 8), (7, 5), (1, 2), (2, 1), (1, 9)])
def test_cells_of_three_are_bit_equal_with_ties(size, ceil_mode):
  pool = functools.partial(pooling.max_pool_3x3, ceil_mode=ceil_mode)
  ours, expected = both_forms(pool, ties(size))
  cells = [n // 2 + 1 if ceil_mode else -(-n // 2) for n in size]
  assert ours[0].shape == (3, *cells, 4)
  for mine, theirs in zip(ours, expected):
    np.testing.assert_array_equal(mine, theirs)


def test_the_gradient_of_cells_of_three_is_a_form_of_the_cpu_alone():
  x = jnp.zeros((1, 4, 4, 1))
  for choice, own in (('cpu', True), ('plain', False)):
    with conv_forms.use(choice):
      program = str(jax.make_jaxpr(lambda x: pooling.max_pool_3x3(x))(x))
    assert ('reduce_window' not in program) == own
