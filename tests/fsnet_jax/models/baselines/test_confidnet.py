"""ConfidNet's head lies where the segmentation network's scores lie."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.models.baselines import confidnet
from fsnet_jax.models.cpu import resizing
from fsnet_jax.models.layers import basic
from fsnet_jax.models.layers.initializers import host_init
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.unet import UNet
from tests.fsnet_jax.models import quick

pytestmark = pytest.mark.slow

SIZE = (32, 64)


def _ramp(first, step, count):
  """[1, count, count, 1]: how far right a cell's centre lies, in pixels."""
  line = (first + step * np.arange(count)).astype(np.float32)
  return np.tile(line, (count, 1))[None, ..., None]


@pytest.mark.parametrize(
  ('place', 'crop', 'factors'),
  [(0, 9, (8,)), (1, 5, (2, 8)), (2, 0, (2, 2, 8))],
)
def test_places_are_those_of_fcn8s_own_upsampling(place, crop, factors):
  stride, start = confidnet._PLACES[place]

  @quick.jit
  def upsampled(x):
    for factor in factors[:-1]:
      x = resizing.bilinear_transposed(x, factor)
    return resizing.bilinear_transposed(x, factors[-1], 31, (100, 100))

  own = upsampled(_ramp(start, stride, 28)[:, crop:, crop:])
  inside = np.asarray(own)[0, 60, 60:, 0]
  np.testing.assert_allclose(inside, np.arange(60, 100), atol=1e-3)


@pytest.mark.parametrize('place', [0, 1, 2])
def test_maps_are_laid_where_their_cells_are(place):
  stride, start = confidnet._PLACES[place]
  laid = quick.jit(
    lambda x: confidnet.place_bilinear(x, (20, 90), stride, start)
  )(_ramp(start, stride, 30))
  first = max(0, int(np.ceil(start)))
  np.testing.assert_allclose(
    np.asarray(laid)[0, 3, first:, 0], np.arange(first, 90), atol=1e-3
  )
  # Before the first cell there is nothing but the first cell.
  assert np.allclose(np.asarray(laid)[0, 3, :first, 0], start)


@pytest.fixture(scope='module')
def padded():
  network = FCN8(width=0.02, head_width=8, input_scale=1 / 64)
  shape = jax.ShapeDtypeStruct((1, *SIZE, 3), jnp.float32)
  variables = host_init(network, 0, shape)
  rng = np.random.default_rng(0)
  images = jnp.asarray(rng.uniform(0, 255, (1, *SIZE, 3)), jnp.float32)
  maps, encoded = quick.jit(
    lambda v, x: (
      network.apply(v, x, method=confidnet.confidence_maps),
      network.apply(v, x, method='encode'),
    )
  )(variables, images)
  return network, maps, encoded


def test_fcn8s_maps_are_its_own_before_cropping(padded):
  _, (pool3, pool4, fc7), encoded = padded
  h, w = encoded.pool3.shape[1:3]
  np.testing.assert_allclose(
    pool3[:, 9 : 9 + h, 9 : 9 + w], encoded.pool3, atol=1e-5
  )
  h, w = encoded.pool4.shape[1:3]
  np.testing.assert_allclose(
    pool4[:, 5 : 5 + h, 5 : 5 + w], encoded.pool4, atol=1e-5
  )
  assert fc7.shape[1:3] == encoded.fc6.shape[1:3] and (fc7 >= 0).all()


def test_alignment_is_of_the_padded_network_alone(padded):
  network, *_ = padded
  plain = FCN8(padding='same')
  for one, alignment, count in (
    (network, 'aligned', 3),
    (network, 'stretched', 0),
    (plain, 'aligned', 0),
    (UNet(), 'aligned', 0),
  ):
    head = confidnet.head_for(one, 1.0, alignment, jnp.float32)
    assert len(head.places) == count


@pytest.mark.parametrize(
  ('network', 'shapes'),
  [
    (FCN8(), [(57, 89, 256), (29, 45, 512), (9, 17, 4096)]),
    (DeepLabV2(), [(33, 65, 256)]),
    (DeepLabV2(head='v2'), [(33, 65, 2048)]),
    (UNet(), [(256, 512, 64)]),
  ],
)
def test_what_the_head_sees_of_each_network(network, shapes):
  images = jax.ShapeDtypeStruct((1, 256, 512, 3), jnp.float32)

  def run(images):
    maps, _ = network.init_with_output(
      jax.random.key(0), images, method=confidnet.confidence_maps
    )
    head = confidnet.head_for(network, 1.0, 'aligned', jnp.float32)
    return maps, *head.init_with_output(jax.random.key(0), maps, (256, 512))

  maps, logits, variables = jax.eval_shape(run, images)
  assert [x.shape[1:] for x in maps] == shapes
  assert logits.shape == (1, 256, 512)
  widths = [
    variables['params'][f'conv{n}']['kernel'].shape[-1] for n in range(1, 6)
  ]
  assert widths == [400, 120, 64, 64, 1]
  if len(shapes) > 1:
    assert variables['params']['conv1']['kernel'].shape[2] == 1024


def test_wrong_scale_is_synthcps():
  images = jnp.asarray(
    np.random.default_rng(0).uniform(0, 255, (1, 2, 3, 3)), jnp.float32
  )
  mean = 255 * np.array([0.485, 0.458, 0.408])
  shown = np.asarray(confidnet.wrongly_scaled(images)) - mean
  np.testing.assert_allclose(
    shown, basic.imagenet_normalized(images), atol=1e-4
  )
