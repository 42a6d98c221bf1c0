"""Every form of the backward passes of many classes gives the same maps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.segmentation import unet
from segxal_jax.explanation.gradcam import class_maps, core
from tests.fsnet_jax.models import quick

CLASSES = (0, 2, 3)


@pytest.fixture(scope='module')
def maps():
  """{form: maps of a small U-Net}, from one program."""
  network = unet.UNet(num_classes=5, width=1 / 64)
  images = jax.random.uniform(jax.random.key(1), (2, 16, 32, 3), maxval=255.0)
  variables = quick.jit(network.init)(jax.random.key(0), images)

  def apply(variables, images):
    return network.apply(variables, images).logits

  @quick.jit
  def run(variables, images):
    return {
      form: core.explain(
        apply,
        variables,
        images,
        'block2',
        None,
        core.CamOptions(classes=CLASSES, passes=form),
      ).cam
      for form in class_maps.FORMS
    }

  with conv_forms.use('plain'):
    return jax.device_get(run(variables, images))


@pytest.mark.slow
@pytest.mark.parametrize('form', ['unrolled', 'sequential'])
def test_forms_agree(maps, form):
  assert np.ptp(maps['batched']) > 0.5
  np.testing.assert_allclose(maps[form], maps['batched'], atol=1e-5)


def test_automatic_form_is_the_back_ends():
  rows = jnp.arange(6.0).reshape(3, 2)
  calls = []

  def double(row):
    calls.append(row)
    return 2 * row

  expected = 2 * np.arange(6.0).reshape(3, 2)
  with conv_forms.use('plain'):
    np.testing.assert_array_equal(class_maps.each(double, rows), expected)
  assert len(calls) == 1
  with conv_forms.use('cpu'):
    np.testing.assert_array_equal(class_maps.each(double, rows), expected)
  assert len(calls) == 4


def test_unknown_form_is_named():
  with pytest.raises(ValueError, match="'parallel'"):
    class_maps.each(lambda row: row, jnp.zeros((1, 2)), 'parallel')
