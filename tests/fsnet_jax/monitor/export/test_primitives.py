"""Each rule of the ONNX writer against JAX, in onnxruntime."""

import jax
import jax.numpy as jnp
import numpy as np
import onnxruntime
import pytest
from jax import lax

from fsnet_jax.models.cpu import resizing
from fsnet_jax.monitor.export.onnx_writer import jaxpr_to_onnx
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import BATCH, Graph

SHAPE = 4, 6, 5
_KERNEL = np.random.default_rng(7).normal(size=(3, 2, 5, 4)).astype(np.float32)
_DEPTH = np.random.default_rng(8).normal(size=(3, 3, 1, 5)).astype(np.float32)
_WIDE = np.random.default_rng(9).normal(size=(3, 3, 17, 4)).astype(np.float32)
_ROW = np.float32([0.5, -1.0, 2.0, 0.0])
_TABLE = np.arange(12, dtype=np.float32).reshape(6, 2)


def _model(function, *values):
  """A function as an ONNX model; the names of its inputs."""
  shapes = [
    jax.ShapeDtypeStruct((BATCH, *value.shape[1:]), value.dtype)
    for value in values
  ]
  closed = jaxpr_to_onnx.traced(lambda *x: (function(*x),), *shapes)
  names = [f'x{i}' for i in range(len(values))]
  graph = Graph('x0')
  (end,) = jaxpr_to_onnx.write(closed, graph, names)
  (out,) = closed.out_avals
  sizes = ['b' if size == BATCH else size for size in out.shape]
  model = graph.model(
    {
      name: (value.dtype.name, ['b', *value.shape[1:]])
      for name, value in zip(names, values, strict=True)
    },
    {'y': (end, out.dtype.name, sizes)},
    {},
  )
  return model, names


def _run(function, *values):
  """Results of a function by JAX and by onnxruntime."""
  model, names = _model(function, *values)
  session = onnxruntime.InferenceSession(model.SerializeToString())
  (found,) = session.run(None, dict(zip(names, values, strict=True)))
  wanted = np.asarray(function(*map(jnp.asarray, values)))
  assert found.dtype == wanted.dtype and found.shape == wanted.shape
  return found, wanted


def _kinds(function, *values):
  """The operators that a function becomes."""
  return [node.op_type for node in _model(function, *values)[0].graph.node]


def _conv(x, kernel=_KERNEL, **options):
  return lax.conv_general_dilated(
    x,
    kernel,
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    **{'window_strides': (1, 1), 'padding': ((1, 1), (0, 1))} | options,
  )


def _normed(x):
  return (_conv(x) - _ROW) * (_ROW + 2) + _ROW


def _side_by_side(x):
  """Over 17 channels, of which one piece has as many as are put together."""
  pieces = jnp.concatenate([x, x + 1], -1), x, 2 * x[..., :2]
  return _conv(jnp.concatenate(pieces, -1), _WIDE)


FLOATS = {
  'abs': jnp.abs,
  'exp': jnp.exp,
  'expm1': jnp.expm1,
  'log': lambda x: jnp.log(jnp.abs(x) + 0.1),
  'log1p': lambda x: jnp.log1p(jnp.abs(x) * 1e-4),
  'tanh': jnp.tanh,
  'sigmoid': jax.nn.sigmoid,
  'softmax': jax.nn.softmax,
  'log_softmax': jax.nn.log_softmax,
  'logsumexp': lambda x: jax.nn.logsumexp(x, axis=(1, 3)),
  'silu': jax.nn.silu,
  'relu': jax.nn.relu,
  'relu_of_two': lambda x: jnp.maximum(0.0, x) + jnp.maximum(x, x[:, ::-1]),
  'relu6': jax.nn.relu6,
  'rsqrt': lambda x: lax.rsqrt(jnp.abs(x) + 1),
  'cube': lambda x: x**3,
  'power': lambda x: (jnp.abs(x) + 1) ** 0.3,
  'round': lambda x: jnp.floor(x) + jnp.ceil(x),
  'clip': lambda x: jnp.clip(x, -0.5, 0.7),
  'where': lambda x: jnp.where(x > 0.2, x, -2 * x),
  'compare': lambda x: (x != 0.5) & ~(x <= 0.1) | (x >= 2),
  'sums': lambda x: x.sum((1, 2)) + x.mean((1, 2)),
  'largest': lambda x: x.max(-1) - x.min(-1),
  'argmax': lambda x: x.argmax(-1),
  'argmin': lambda x: x.argmin(1),
  'one_hot': lambda x: jax.nn.one_hot(x.argmax(-1), 5),
  'table': lambda x: jnp.asarray(_TABLE)[x.argmax(2)],
  'transpose': lambda x: x.transpose(0, 3, 1, 2),
  'flip': lambda x: x[:, :, ::-1],
  'slices': lambda x: x[:, 1:3, ::2, -2:],
  'pad': lambda x: jnp.pad(x, ((0, 0), (1, 2), (0, 1), (0, 0))),
  'edge': lambda x: jnp.pad(x, ((0, 0), (1, 1), (2, 0), (0, 0)), mode='edge'),
  'concatenate': lambda x: jnp.concatenate([x, 2 * x, x[..., :0]], -1),
  'stack': lambda x: jnp.stack([x, x + 1], 1),
  'split': lambda x: sum(jnp.split(x, 2, axis=1)),
  'repeat': lambda x: x.repeat(2, 1).repeat(3, 2),
  'reshape': lambda x: x.reshape(-1, 5) @ jnp.ones((5, 3)),
  'dense': lambda x: x @ jnp.arange(20.0).reshape(5, 4),
  'matrix': lambda x: jnp.einsum('bhwc,cd->bdhw', x, jnp.ones((5, 2))),
  'of_batch': lambda x: jnp.einsum('bhwc,bhwd->bcd', x, x),
  'ones': lambda x: jnp.ones(x.shape[:3]) + x[..., 0],
  'cumsum': lambda x: jnp.cumsum(x, axis=2),
  'convolution': _conv,
  'strides': lambda x: _conv(x, window_strides=(2, 1)),
  'dilated': lambda x: _conv(x, rhs_dilation=(1, 2), padding='SAME'),
  'depthwise': lambda x: _conv(x, _DEPTH, feature_group_count=5),
  'transposed': lambda x: lax.conv_transpose(
    x, jnp.asarray(_KERNEL), (2, 2), 'SAME'
  ),
  'max_pool': lambda x: lax.reduce_window(
    x, -jnp.inf, lax.max, (1, 3, 2, 1), (1, 2, 2, 1), 'SAME'
  ),
  'sum_pool': lambda x: lax.reduce_window(
    x, 0.0, lax.add, (1, 3, 3, 1), (1, 1, 1, 1), 'SAME'
  ),
  'normed': _normed,
  'scaled_then_shifted_from': lambda x: 3.0 - 2.0 * _conv(x),
  'rows_of_their_own': lambda x: _conv(x) * np.arange(6.0)[:, None],
  'used_twice': lambda x: (lambda y: y * _ROW + jnp.tanh(y))(_conv(x)),
  'depthwise_normed': lambda x: (
    _conv(x, _DEPTH, feature_group_count=5) * np.arange(5.0)
  ),
  'side_by_side': _side_by_side,
  'side_by_side_normed': lambda x: _side_by_side(x) * _ROW - _ROW,
  'vector': lambda x: x @ jnp.arange(5.0),
  'products_of_images': lambda x: x[:, 0] @ x[:, 1].transpose(0, 2, 1),
  'upsampling': lambda x: resizing.resize_bilinear(x, (8, 12)),
  'upsampling_one_side': lambda x: resizing.resize_bilinear(x, (4, 18)),
  'upsampling_of_a_pixel': lambda x: resizing.resize_bilinear(
    x[:, :1, :1], (6, 4)
  ),
  'halving': lambda x: resizing.resize_bilinear(x, (2, 3)),
  'odd_size': lambda x: resizing.resize_bilinear(x, (7, 9)),
  'corners': lambda x: resizing.resize_align_corners(x, (9, 13)),
  'corners_down': lambda x: resizing.resize_align_corners(x, (3, 4)),
  'corners_of_a_row': lambda x: resizing.resize_align_corners(x[:, :1], (3, 8)),
  'resize': lambda x: jax.image.resize(x, (x.shape[0], 8, 9, 5), 'bilinear'),
}


@pytest.mark.slow
@pytest.mark.parametrize('name', FLOATS)
@pytest.mark.parametrize('count', [1, 3])
def test_floats(name, count):
  x = np.random.default_rng(count).normal(size=(count, *SHAPE))
  found, wanted = _run(FLOATS[name], x.astype(np.float32))
  np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


def test_what_scales_channels_goes_into_the_convolution():
  x = np.ones((1, *SHAPE), np.float32)
  assert set(_kinds(_normed, x)) == {'Transpose', 'Conv', 'Identity'}
  kinds = _kinds(FLOATS['used_twice'], x)
  assert kinds.count('Conv') == 1 and 'Mul' in kinds


def test_odd_numbers_of_channels_are_taken_by_pieces():
  x = np.ones((1, *SHAPE), np.float32)
  kinds = _kinds(FLOATS['side_by_side_normed'], x)
  assert kinds.count('Conv') == 3 and kinds.count('Concat') == 1
  assert 'Sub' not in kinds


@pytest.mark.parametrize('name', ['upsampling', 'corners', 'odd_size'])
def test_resizing_is_an_operator_where_it_can_be(name):
  kinds = _kinds(FLOATS[name], np.ones((1, *SHAPE), np.float32))
  assert ('Resize' in kinds) == (name != 'odd_size')
  assert ('Einsum' in kinds) == (name == 'odd_size')


def test_a_convolution_that_crops():
  """XLA:CPU reads beyond the image there, so it is held against a slice."""
  x = np.random.default_rng(1).normal(size=(3, *SHAPE)).astype(np.float32)
  found, _ = _run(lambda x: _conv(x, padding=((-1, 1), (0, 0))), x)
  wanted = _conv(jnp.asarray(x[:, 1:]), padding=((0, 1), (0, 0)))
  np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)


def test_small_numbers_are_not_lost():
  x = np.float32([[1e-8, -1e-8, 1e-4, 0.0, 3.0]])
  found, wanted = _run(jnp.log1p, x)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)
  found, wanted = _run(jnp.expm1, x)
  np.testing.assert_allclose(found, wanted, rtol=1e-5)


def test_images_and_types():
  images = np.random.default_rng(0).integers(0, 256, (2, 4, 6, 3))
  images = images.astype(np.uint8)
  found, wanted = _run(
    lambda x: (x.astype(jnp.float32) / 255 - 0.5).sum(-1), images
  )
  np.testing.assert_allclose(found, wanted, atol=1e-6)
  found, wanted = _run(lambda x: (x > 128).astype(jnp.uint8), images)
  np.testing.assert_array_equal(found, wanted)


def test_what_has_no_rule_is_named():
  x = np.ones((2, 4), np.float32)
  with pytest.raises(jaxpr_to_onnx.Unsupported, match="'sort'"):
    _run(lambda x: jnp.sort(x, axis=-1), x)
