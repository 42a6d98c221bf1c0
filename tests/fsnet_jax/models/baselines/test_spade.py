"""SPADE's sizes, and what has an exact answer by itself."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional as F

from common_lib.errors import UserError
from fsnet_jax.learned_detectors.generator import training
from fsnet_jax.models.baselines import discriminator, spade, vgg19
from fsnet_jax.models.baselines.spectral import SpectralConv, xavier
from fsnet_jax.models.layers.initializers import host_init
from tests.fsnet_jax.models import quick


@pytest.mark.parametrize(
  ('size', 'times'),
  [((256, 512), 6), ((64, 128), 6), ((96, 128), 5), ((33, 64), 0)],
)
def test_doublings(size, times):
  assert spade.doublings(size) == times


def test_pixels_are_those_of_an_image_file():
  found = spade.to_pixels(jnp.array([[[[-1.0, 0.001, 1.5]]]]))
  np.testing.assert_array_equal(found[0, 0, 0], [0, 128, 255])


def test_generator_has_synthcps_sizes():
  labels = jax.ShapeDtypeStruct((1, 256, 512), jnp.int32)
  pictures, variables = jax.eval_shape(
    lambda x: spade.SpadeGenerator().init_with_output(jax.random.key(0), x),
    labels,
  )
  assert pictures.shape == (1, 256, 512, 3)
  params = variables['params']
  assert params['first']['kernel'].shape == (3, 3, 19, 1024)
  widths = [params[f'block{n}']['conv2']['kernel'].shape[-1] for n in range(7)]
  assert widths == [1024, 1024, 1024, 512, 256, 128, 64]
  assert ['shortcut' in params[f'block{n}'] for n in range(7)] == [
    *[False] * 3,
    *[True] * 4,
  ]
  middle = params['block3']
  assert middle['shortcut']['kernel'].shape == (1, 1, 1024, 512)
  assert 'bias' not in middle['shortcut']
  assert middle['norm1']['shared']['kernel'].shape == (3, 3, 19, 128)
  assert params['last']['kernel'].shape == (3, 3, 64, 3)


def test_discriminator_has_synthcps_sizes():
  planes = jax.ShapeDtypeStruct((1, 256, 512, 19), jnp.float32)
  picture = jax.ShapeDtypeStruct((1, 256, 512, 3), jnp.float32)
  network = discriminator.MultiscaleDiscriminator()
  outputs, variables = jax.eval_shape(
    lambda *x: network.init_with_output(jax.random.key(0), *x), planes, picture
  )
  assert [x.shape[-1] for x in outputs[0]] == [64, 128, 256, 512, 1]
  assert [x.shape[1] for x in outputs[0]] == [129, 65, 33, 34, 35]
  assert [x.shape[1] for x in outputs[1]] == [65, 33, 17, 18, 19]
  scale = variables['params']['scale0']
  assert scale['conv0']['kernel'].shape == (4, 4, 22, 64)
  assert set(variables['spectral']['scale0']) == {'conv1', 'conv2', 'conv3'}


def test_spectral_norm_finds_the_largest_singular_value():
  layer = SpectralConv(3, use_bias=False)
  x = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 5, 2)))
  x = x.astype(jnp.float32)
  variables = host_init(layer, 0, jax.ShapeDtypeStruct(x.shape, x.dtype))
  variables = jax.tree.map(jnp.asarray, variables)
  params = variables['params']

  @quick.jit
  def after(spectral, steps):
    def step(_, spectral):
      _, updated = layer.apply(
        {'params': params, 'spectral': spectral}, x, True, mutable=['spectral']
      )
      return updated['spectral']

    spectral = jax.lax.fori_loop(0, steps, step, spectral)
    return layer.apply({'params': params, 'spectral': spectral}, x)

  kernel = np.asarray(params['kernel'])
  largest = np.linalg.svd(kernel.reshape(-1, 3))[1][0]
  layout = ('NHWC', 'HWIO', 'NHWC')
  expected = jax.lax.conv_general_dilated(
    x, kernel / largest, (1, 1), 'SAME', dimension_numbers=layout
  )
  np.testing.assert_allclose(
    after(variables['spectral'], 200), expected, rtol=1e-3, atol=1e-5
  )


def test_xavier_gain():
  draw = xavier(0.02).draw(np.random.default_rng(0), (3, 3, 60, 40))
  assert draw.std() == pytest.approx(0.02 * np.sqrt(2 / (9 * 100)), rel=0.02)


def test_vgg19_from_an_archive(tmp_path, monkeypatch):
  monkeypatch.setattr(vgg19, 'STAGES', ((4, 2), (5, 1), (6, 1), (3, 1), (2, 1)))
  rng = np.random.default_rng(0)
  shapes = {
    'conv1_1': (4, 3),
    'conv1_2': (4, 4),
    'conv2_1': (5, 4),
    'conv3_1': (6, 5),
    'conv4_1': (3, 6),
    'conv5_1': (2, 3),
  }
  arrays = {}
  for name, (outputs, inputs) in shapes.items():
    arrays[f'{name}.weight'] = rng.normal(size=(outputs, inputs, 3, 3))
    arrays[f'{name}.bias'] = rng.normal(size=outputs)
  path = tmp_path / 'vgg19.npz'
  np.savez(path, **arrays)
  params = training.vgg19_parameters(str(path))
  picture = rng.normal(size=(1, 16, 16, 3)).astype(np.float32)
  found = quick.jit(vgg19.VGG19().apply)({'params': params}, picture)
  x = torch.tensor(picture.transpose(0, 3, 1, 2)).double()
  for name in shapes:
    if name.endswith('_1') and name != 'conv1_1':
      x = F.max_pool2d(x, 2)
    weight, bias = (
      torch.tensor(arrays[f'{name}.{part}']) for part in ('weight', 'bias')
    )
    x = torch.relu(F.conv2d(x, weight, bias, padding=1))
  np.testing.assert_allclose(
    found[-1], x.numpy().transpose(0, 2, 3, 1), rtol=1e-3, atol=1e-4
  )
  del arrays['conv3_1.bias']
  np.savez(path, **arrays)
  with pytest.raises(UserError, match='conv3_1.bias'):
    training.vgg19_parameters(str(path))
