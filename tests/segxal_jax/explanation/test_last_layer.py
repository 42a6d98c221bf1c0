"""The closed form at the classifier's input against the backward pass."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import segxal_unet
from fsnet_jax.builders import networks
from segxal_jax.explanation.gradcam import core, default_layers, last_layer
from segxal_jax.explanation.gradcam.core import CamOptions


class Wide(nn.Module):
  """Features that depend on the image, and a 3x5 classifier."""

  @nn.compact
  def __call__(self, images):
    x = nn.Conv(6, (3, 3), name='body')(images)
    return nn.Conv(4, (3, 5), name='score')(x)


@pytest.fixture(scope='module')
def wide():
  images = jax.random.normal(jax.random.key(1), (2, 5, 8, 3))
  return jax.jit(Wide().init)(jax.random.key(0), images), images


@pytest.mark.parametrize('classes', [(), (0, 2, 3)])
def test_equals_the_backward_pass(wide, classes):
  variables, images = wide
  mask = jax.random.bernoulli(jax.random.key(2), 0.6, images.shape[:3])
  options = CamOptions(classes=classes)
  closed = dataclasses.replace(options, classifier=('score',))

  @jax.jit
  def both(variables, images, mask):
    pair = [
      core.explain(Wide().apply, variables, images, 'body', mask, how)
      for how in (options, closed)
    ]
    return [(explained.cam, explained.logits) for explained in pair]

  slow, fast = both(variables, images, mask)
  assert np.ptp(slow[0]) > 0.5
  np.testing.assert_allclose(fast[0], slow[0], atol=1e-5)
  np.testing.assert_array_equal(fast[1], slow[1])


def test_pooled_gradients_equal_autodiff(wide):
  variables, _ = wide
  kernel = variables['params']['score']['kernel']
  activation = jax.random.normal(jax.random.key(3), (2, 5, 8, 6))
  hits = jax.random.bernoulli(jax.random.key(4), 0.4, (2, 5, 8, 4))
  hits = hits.at[1, ..., 2].set(False)

  def summed(activation, c):
    logits = nn.Conv(4, (3, 5)).apply(
      {'params': {'kernel': kernel, 'bias': jnp.zeros(4)}}, activation
    )
    return jnp.sum(jnp.where(hits[..., c], logits[..., c], 0.0))

  got = jax.jit(last_layer.pooled_gradients)(kernel, hits)
  gradient = jax.jit(jax.grad(summed), static_argnums=1)
  for c in range(4):
    expected = gradient(activation, c).sum((1, 2))
    np.testing.assert_allclose(got[..., c], expected, rtol=1e-4, atol=1e-5)
  assert not got[1, :, 2].any()


@pytest.mark.slow
@pytest.mark.parametrize(
  ('name', 'features'),
  [('fcn8', 'pool5'), ('deeplab_v2', 'layer4'), ('unet', 'bottleneck')],
)
def test_every_network_has_a_layer_to_look_at(name, features):
  config = segxal_unet.get_config('streets')
  config.segmentation.name = name
  config.segmentation.features = features
  model = networks.model(config)
  images = jax.ShapeDtypeStruct((1, 64, 128, 3), jnp.float32)
  segmentation = model.segmentation
  variables = jax.eval_shape(segmentation.init, jax.random.key(0), images)
  layer, _ = default_layers.tap(name, '', config.segmentation.padding)

  def logits(variables, images):
    return segmentation.apply(variables, images).logits

  cam = jax.eval_shape(
    lambda v, x: core.grad_cam(logits, v, x, layer), variables, images
  )
  assert cam.shape == (1, 64, 128)


def test_only_the_unets_last_block_is_in_closed_form():
  deepest, _ = default_layers.tap('unet', '', 'same')
  assert default_layers.classifier('unet', deepest) == ()
  assert default_layers.tap('unet', 'block1', 'same') == ('block1', 0)
  assert default_layers.classifier('unet', 'block1') == ('score',)
  assert default_layers.classifier('fcn8', 'block1') == ()
