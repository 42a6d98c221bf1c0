import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fsnet_jax.models.cpu import conv_forms, resizing
from tests.fsnet_jax.models import quick


def transposed_reference(x, factor):
  """A dense transposed convolution with the bilinear kernel, by lax."""
  line = 1 - np.abs(np.arange(2 * factor) - (factor - 0.5)) / factor
  kernel = np.einsum('i,j,cd->ijcd', line, line, np.eye(x.shape[-1]))
  kernel = kernel.astype(np.float32)
  return lax.conv_transpose(x, kernel, (factor, factor), 'VALID')


def values(*shape):
  rng = np.random.default_rng(0)
  return jnp.asarray(rng.standard_normal(shape), jnp.float32)


def assert_same(function, other, x, g):
  """Values and gradients of two functions of `x` agree to rounding."""

  @quick.jit
  def run(x, g):
    results = [jax.vjp(f, x) for f in (function, other)]
    return [(y, pull(g)[0]) for y, pull in results]

  for ours, expected in zip(*run(x, g)):
    np.testing.assert_allclose(
      ours, expected, atol=2e-6 * np.abs(expected).max()
    )


@pytest.mark.parametrize('factor', [2, 8])
@pytest.mark.parametrize('size', [(1, 1), (3, 5)])
def test_transposed_is_the_convolution(factor, size):
  x = values(2, *size, 3)
  expected = transposed_reference(x, factor)
  ours = resizing.bilinear_transposed(x, factor)
  assert ours.shape[1:3] == tuple(factor * (n + 1) for n in size)
  np.testing.assert_allclose(ours, expected, atol=1e-6)


@pytest.mark.parametrize(
  ('offset', 'size'), [(0, (5, 3)), (7, (20, 33)), (8, (8, 8)), (31, (1, 9))]
)
def test_transposed_crop_and_gradient(offset, size):
  x, weights = values(2, 4, 6, 3), values(2, *size, 3)
  rows, columns = (slice(offset, offset + n) for n in size)

  def reference(x):
    return transposed_reference(x, 8)[:, rows, columns]

  def ours(x):
    return resizing.bilinear_transposed(x, 8, offset, size)

  assert_same(ours, reference, x, weights)


@pytest.mark.parametrize(
  ('have', 'want'),
  [
    ((3, 5), (6, 10)),
    ((3, 5), (24, 40)),
    ((4, 6), (2, 3)),
    ((5, 7), (9, 20)),
    ((1, 1), (4, 3)),
    ((5, 5), (15, 5)),
    ((5, 7), (5, 7)),
  ],
)
def test_resize_bilinear(have, want):
  x, weights = values(2, *have, 3), values(2, *want, 3)

  def reference(x):
    return jax.image.resize(x, weights.shape, 'linear', antialias=False)

  assert_same(
    lambda x: resizing.resize_bilinear(x, want), reference, x, weights
  )


@pytest.mark.parametrize(
  ('have', 'want'),
  [((3, 5), (24, 40)), ((4, 6), (2, 3)), ((1, 7), (9, 20)), ((5, 7), (5, 7))],
)
@pytest.mark.parametrize(
  'resize', [resizing.resize_bilinear, resizing.resize_align_corners]
)
def test_planes_hold_the_same_values(resize, have, want):
  x, weights = values(2, *have, 3), values(2, *want, 3)
  with conv_forms.use('cpu'):
    assert_same(
      lambda x: resize(x, want, planes=True),
      lambda x: resize(x, want),
      x,
      weights,
    )


@pytest.mark.parametrize('size', [None, (20, 33), (1, 9)])
@pytest.mark.parametrize('offset', [0, 7, 31])
def test_planes_of_a_transposed_convolution(offset, size):
  x = values(2, 6, 8, 3)

  def upsample(x, planes):
    return resizing.bilinear_transposed(x, 8, offset, size, planes)

  weights = values(*jax.eval_shape(lambda x: upsample(x, False), x).shape)
  assert_same(
    lambda x: upsample(x, True), lambda x: upsample(x, False), x, weights
  )


def test_planes_are_a_form_of_the_cpu_alone():
  def resize(x):
    return resizing.resize_bilinear(x, (24, 24), planes=True)

  x = values(1, 3, 3, 2)
  for choice, products in (('cpu', 2), ('plain', 0)):
    with conv_forms.use(choice):
      program = str(jax.make_jaxpr(lambda x: resize(x))(x))
    assert program.count('dot_general') == products


@pytest.mark.parametrize(
  ('have', 'want'), [((3, 5), (6, 10)), ((1, 4), (8, 32)), ((2, 1), (12, 2))]
)
def test_the_cpus_gradient_of_upsampling(have, want):
  x, weights = values(2, *have, 3), values(2, *want, 3)

  def resize(choice, x):
    with conv_forms.use(choice):
      return resizing.resize_bilinear(x, want)

  programs = [
    str(jax.make_jaxpr(functools.partial(resize, choice))(x))
    for choice in ('cpu', 'plain')
  ]
  assert ['custom_vjp' in program for program in programs] == [True, False]
  assert_same(
    functools.partial(resize, 'cpu'),
    functools.partial(resize, 'plain'),
    x,
    weights,
  )


@pytest.mark.parametrize('factor', [2, 8])
@pytest.mark.parametrize(
  ('offset', 'size'), [(0, (16, 10)), (3, (9, 7)), (9, (1, 2)), (8, (5, 3))]
)
def test_the_cpus_gradient_of_a_transposed_convolution(factor, offset, size):
  x, weights = values(2, 8, 5, 3), values(2, *size, 3)

  def upsample(choice, x):
    with conv_forms.use(choice):
      # Only what lies inside the output; factor 2 has few columns.
      at = min(offset, 12 - size[1]) if factor == 2 else offset
      return resizing.bilinear_transposed(x, factor, at, size)

  assert_same(
    functools.partial(upsample, 'cpu'),
    functools.partial(upsample, 'plain'),
    x,
    weights,
  )


def test_a_constant_stays_and_a_ramp_is_linear_inside():
  ramp = jnp.arange(6.0).reshape(1, 6, 1, 1)
  up = np.asarray(resizing.resize_bilinear(ramp, (12, 1))).ravel()
  np.testing.assert_allclose(up[:3], [0, 0.25, 0.75], atol=1e-6)
  np.testing.assert_allclose(np.diff(up[1:-1]), 0.5, atol=1e-6)
  assert up[-1] == 5
  flat = resizing.resize_bilinear(jnp.full((1, 3, 3, 1), 7.0), (24, 24))
  np.testing.assert_array_equal(flat, 7.0)


def test_half_precision_stays_half():
  x = values(1, 3, 3, 2).astype(jnp.bfloat16)
  assert resizing.resize_bilinear(x, (24, 24)).dtype == jnp.bfloat16
  assert resizing.bilinear_transposed(x, 8).dtype == jnp.bfloat16
