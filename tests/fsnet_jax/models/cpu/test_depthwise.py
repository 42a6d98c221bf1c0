"""Depthwise convolutions: equal to lax's in value and both gradients."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from fsnet_jax.models.cpu import conv_forms, depthwise
from tests.fsnet_jax.models import quick

_NHWC = ('NHWC', 'HWIO', 'NHWC')


def _run(choice, x, kernel, weights, stride, padding, dilation):
  def loss(x, kernel):
    with conv_forms.use(choice):
      y = conv_forms.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        rhs_dilation=(dilation, dilation),
        dimension_numbers=_NHWC,
        feature_group_count=x.shape[-1],
      )
    return (y * weights).sum(), y

  return quick.jit(jax.grad(loss, (0, 1), has_aux=True))(x, kernel)


@pytest.mark.parametrize(
  'size,kernel,stride,padding,dilation',
  [
    ((6, 8), 3, 1, 'SAME', 1),
    ((6, 8), 3, 2, 'SAME', 1),
    ((7, 5), 5, 2, 'SAME', 1),
    ((3, 4), 5, 1, 'SAME', 1),
    ((1, 1), 5, 2, 'SAME', 1),
    ((9, 7), 3, 1, 'SAME', 2),
    ((9, 7), 3, 2, ((0, 1), (2, 0)), 1),
    ((9, 7), 3, 3, 'VALID', 1),
  ],
)
def test_values_and_gradients_are_those_of_lax(
  size, kernel, stride, padding, dilation
):
  rng = np.random.default_rng(0)
  x = jnp.asarray(rng.standard_normal((2, *size, 3)), jnp.float32)
  w = jnp.asarray(rng.standard_normal((kernel, kernel, 1, 3)), jnp.float32)
  shape = jax.eval_shape(
    lambda x, w: lax.conv_general_dilated(
      x,
      w,
      (stride, stride),
      padding,
      rhs_dilation=(dilation, dilation),
      dimension_numbers=_NHWC,
      feature_group_count=3,
    ),
    x,
    w,
  ).shape
  weights = jnp.asarray(rng.standard_normal(shape), jnp.float32)
  ours = _run('cpu', x, w, weights, stride, padding, dilation)
  expected = _run('plain', x, w, weights, stride, padding, dilation)
  for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(expected)):
    assert a.shape == b.shape and a.dtype == b.dtype
    np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_half_precision_is_summed_in_float32():
  # 1 + 24 * 2**-9 rounds to 1 if each term is added in bfloat16.
  x = jnp.full((1, 5, 5, 2), 2.0**-9, jnp.bfloat16).at[0, 2, 2].set(1)
  kernel = jnp.ones((5, 5, 1, 2), jnp.bfloat16)
  with conv_forms.use('cpu'):
    y = conv_forms.conv_general_dilated(
      x, kernel, (1, 1), 'VALID', dimension_numbers=_NHWC, feature_group_count=2
    )
  assert y.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.asarray(y, np.float32), 1.046875)


def test_the_kernels_gradient_is_summed_in_float32():
  x = jnp.full((1, 5, 5, 2), 2.0**-9, jnp.bfloat16).at[0, 2, 2].set(1)

  def total(kernel):
    with conv_forms.use('cpu'):
      y = conv_forms.conv_general_dilated(
        x, kernel, (1, 1), 'SAME', dimension_numbers=_NHWC,
        feature_group_count=2,
      )  # fmt: skip
    return y.astype(jnp.float32).sum()

  gradient = quick.jit(jax.grad(total))(jnp.ones((1, 1, 1, 2), jnp.bfloat16))
  assert gradient.dtype == jnp.bfloat16
  np.testing.assert_allclose(np.asarray(gradient, np.float32), 1.046875)


def test_only_one_kernel_a_channel_counts_as_depthwise():
  x = jnp.zeros((1, 4, 4, 6))
  assert depthwise.is_depthwise(x, jnp.zeros((3, 3, 1, 6)), 6)
  assert not depthwise.is_depthwise(x, jnp.zeros((3, 3, 1, 12)), 6)
  assert not depthwise.is_depthwise(x, jnp.zeros((3, 3, 2, 6)), 3)
  assert not depthwise.is_depthwise(x[..., :1], jnp.zeros((3, 3, 1, 1)), 1)
