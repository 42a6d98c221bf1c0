"""Maps of classes against their planes, and PyTorch's resizing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.layers import class_maps
from tests.fsnet_jax.models import quick

CLASSES = 5


def test_void_is_no_class():
  planes = class_maps.one_hot(jnp.array([[[0, 2, 255]]]), 3)
  np.testing.assert_array_equal(planes[0, 0], [[1, 0, 0], [0, 0, 1], [0] * 3])


@pytest.mark.parametrize('size', [(4, 8), (3, 5), (16, 12)])
def test_nearest_is_pytorchs(size):
  labels = np.random.default_rng(0).integers(0, 256, (2, 16, 12))
  theirs = F.interpolate(torch.tensor(labels[:, None]).float(), size)
  ours = class_maps.resize_floor(jnp.asarray(labels), size)
  np.testing.assert_array_equal(ours, theirs[:, 0].numpy())


def convolved(labels, kernel):
  """By definition: of the planes."""
  planes = class_maps.one_hot(labels, CLASSES).astype(kernel.dtype)
  layout = ('NHWC', 'HWIO', 'NHWC')
  return jax.lax.conv_general_dilated(
    planes, kernel, (1, 1), 'SAME', dimension_numbers=layout
  )


def with_gradient(function, choice, labels, kernel, g):
  @quick.jit
  def run(labels, kernel, g):
    with conv_forms.use(choice):
      y, pull = jax.vjp(lambda kernel: function(labels, kernel), kernel)
    return y, pull(g)[0]

  return run(labels, kernel, g)


@pytest.mark.parametrize('choice', ['cpu', 'plain'])
@pytest.mark.parametrize('dtype', [np.uint8, np.int32])
@pytest.mark.parametrize('size', [(6, 8), (1, 3), (1, 1)])
def test_convolution_of_labels_is_that_of_planes(choice, dtype, size):
  rng = np.random.default_rng(0)
  # Void is whatever is no class: 5, 255 and, where there are signs, -1.
  labels = rng.choice(np.array([0, 1, 2, 3, 4, 5, 255, -1]), (3, *size))
  labels = jnp.asarray(labels.astype(dtype))
  kernel, g = (
    jnp.asarray(rng.standard_normal(shape), jnp.float32)
    for shape in ((3, 3, CLASSES, 7), (3, *size, 7))
  )
  ours = with_gradient(class_maps.convolve, choice, labels, kernel, g)
  expected = with_gradient(convolved, 'plain', labels, kernel, g)
  for mine, theirs in zip(ours, expected):
    np.testing.assert_allclose(mine, theirs, atol=1e-5)


def test_half_precision_is_summed_in_single():
  rng = np.random.default_rng(0)
  labels = jnp.asarray(rng.integers(0, CLASSES, (1, 6, 8)))
  kernel = jnp.asarray(rng.standard_normal((3, 3, CLASSES, 7)), jnp.bfloat16)
  with conv_forms.use('cpu'):
    ours = class_maps.convolve(labels, kernel)
  assert ours.dtype == jnp.bfloat16
  exact = convolved(labels, kernel.astype(jnp.float32))
  # One rounding of the result.
  np.testing.assert_allclose(ours.astype(jnp.float32), exact, rtol=2.0**-8)
