"""Resizing inside a file against Pillow and the loader: bytes to the bit."""

import numpy as np
import onnxruntime
import pytest
from PIL import Image

from fsnet_jax.monitor.export import resizing
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import Graph
from input_pipeline.external import resizing as external

_SIZE = 32, 64
# Smaller and larger, odd, one side alone, a single pixel, more than 8 times.
_SIZES = [
  (45, 80),
  (64, 128),
  (16, 32),
  (31, 65),
  (32, 97),
  (50, 64),
  (1, 1),
  (7, 300),
  (333, 641),
  _SIZE,
]


def _session(write, inputs, output):
  graph = Graph('x')
  found = write(graph)
  model = graph.model(inputs, {'y': (found, *output)}, {})
  return onnxruntime.InferenceSession(model.SerializeToString())


@pytest.fixture(scope='module')
def sessions():
  """By name, from an image or a map to another size."""
  any_size = ['b', 'h', 'w', 3]

  def back(function):
    def write(graph):
      sides = resizing.height_and_width(graph, 'x')
      return function(graph, 'maps', _SIZE, sides)

    return write

  pictures = {'x': ('uint8', any_size)}
  return {
    'bicubic': _session(
      lambda graph: resizing.bicubic(graph, 'x', _SIZE),
      pictures,
      ('uint8', ['b', *_SIZE, 3]),
    ),
    'bilinear': _session(
      back(resizing.bilinear),
      pictures | {'maps': ('float32', ['b', *_SIZE])},
      ('float32', ['b', 'h', 'w']),
    ),
    'nearest': _session(
      back(resizing.nearest),
      pictures | {'maps': ('uint8', ['b', *_SIZE])},
      ('uint8', ['b', 'h', 'w']),
    ),
  }


@pytest.mark.parametrize('size', _SIZES)
def test_images_as_pillow_has_them(sessions, size):
  rng = np.random.default_rng(size[0])
  images = rng.integers(0, 256, (2, *size, 3)).astype(np.uint8)
  images[1] = np.where(images[1] < 128, 0, 255)
  (found,) = sessions['bicubic'].run(None, {'x': images})
  for mine, image in zip(found, images, strict=True):
    picture = Image.fromarray(image).resize(
      _SIZE[::-1], Image.Resampling.BICUBIC
    )
    np.testing.assert_array_equal(mine, np.asarray(picture))


@pytest.mark.parametrize('size', _SIZES)
@pytest.mark.parametrize('name', ['bilinear', 'nearest'])
def test_maps_as_pillow_has_them(sessions, size, name):
  rng = np.random.default_rng(size[1])
  maps = rng.random((2, *_SIZE)).astype(np.float32)
  if name == 'nearest':
    maps = (maps * 255).astype(np.uint8)
  image = np.zeros((2, *size, 3), np.uint8)
  (found,) = sessions[name].run(None, {'x': image, 'maps': maps})
  how = Image.Resampling[name.upper()]
  for mine, one in zip(found, maps, strict=True):
    theirs = np.asarray(Image.fromarray(one).resize(size[::-1], how))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=5e-7)


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize('size', [(45, 80), (16, 33), (32, 7), (64, 128)])
def test_arrays_as_the_loader_has_them(size, antialias):
  session = _session(
    lambda graph: resizing.weighted(
      graph, 'x', _SIZE, size, antialias=antialias
    ),
    {'x': ('float32', ['b', *_SIZE, 5])},
    ('float32', ['b', *size, 5]),
  )
  x = np.random.default_rng(3).normal(size=(2, *_SIZE, 5)).astype(np.float32)
  (found,) = session.run(None, {'x': x})
  expected = external.resize(x, size, antialias=antialias)
  np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
