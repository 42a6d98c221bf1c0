"""A network from elsewhere inside a graph, against running it beside one."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from common_lib import class_table
from common_lib.errors import UserError
from fsnet_jax.monitor.export import foreign_graph, foreign_network
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import Graph
from input_pipeline.external import OnnxNetwork, PythonNetwork
from input_pipeline.external.protocol import FEATURES, FLIP_LOGITS, LOGITS
from tests.fsnet_jax.monitor import own_run
from tests.fsnet_jax.monitor.export import networks

_SIZE = 32, 64
_PLAIN = {'color': 'RGB', 'scale': 1, 'mean': [0] * 3, 'std': [1] * 3}
_GROUPED = [[0, 20], *range(1, 19)]


def _merged(network, images, wanted):
  """A session that gives what the network gives, and the file."""
  graph = Graph('images')
  foreign = foreign_network.open_foreign(network, images)
  tensors = foreign.add_to(graph, 'images', _SIZE, wanted)
  batch = foreign.batch or 'b'
  model = graph.model(
    {'images': ('uint8', [batch, *_SIZE, 3])},
    {
      f'out{index}': (one.name, 'float32', [batch, *one.shape])
      for index, one in enumerate(tensors)
    },
    {},
  )
  content = model.SerializeToString()
  return onnxruntime.InferenceSession(content), model


def _images(count=3):
  rng = np.random.default_rng(count)
  return rng.integers(0, 256, (count, *_SIZE, 3)).astype(np.uint8)


@pytest.mark.parametrize(
  'options',
  [
    {},
    {'size': [48, 80]},
    {'size': [16, 48]},
    {'layout': 'NHWC', 'size': [48, 80]},
    {'softmax': True},
    {'branches': True},
    {'microsoft': True, 'layout': 'NHWC'},
    {'external': True},
    {'dtype': TensorProto.FLOAT16},
    {'dtype': TensorProto.UINT8, 'described': _PLAIN, 'size': [48, 80]},
    {'classes': 21, 'channels': _GROUPED},
    {'classes': 21, 'channels': [*range(1, 20)]},
    {'features': ['failure', 'pool', 'cast_0']},
    {'opset': 11},
    {'opset': 13, 'branches': True},
    {'opset': 17, 'softmax': True},
    {'opset': 21, 'branches': True},
  ],
  ids=str,
)
def test_says_what_the_network_says(tmp_path, options):
  path = networks.write(tmp_path, **options)
  network = OnnxNetwork(path, class_table.CITYSCAPES)
  images = _images()
  wanted = (LOGITS, FEATURES, FLIP_LOGITS)
  session, model = _merged(network, images, wanted)
  logits, features, flip = session.run(None, {'images': images})
  said = network(images)
  assert features.shape[-1] == network.feature_channels
  np.testing.assert_allclose(logits, said.logits, rtol=1e-5, atol=1e-5)
  np.testing.assert_allclose(features, said.features, rtol=1e-5, atol=1e-5)
  mirrored = network(np.ascontiguousarray(images[:, :, ::-1])).logits
  np.testing.assert_allclose(flip, mirrored[:, :, ::-1], rtol=1e-5, atol=1e-5)
  # Weights are there once, whatever runs twice.
  shapes = [tuple(one.dims) for one in model.graph.initializer]
  assert shapes.count((networks.CHANNELS, 3, 3, 3)) == 1
  assert not any(one.external_data for one in model.graph.initializer)
  opsets = {one.domain: one.version for one in model.opset_import}
  assert opsets[''] == max(options.get('opset', 18), 18)
  assert ('com.microsoft' in opsets) == options.get('microsoft', False)


def test_what_nobody_wants_is_left_out(tmp_path):
  path = networks.write(tmp_path, features=None)
  network = OnnxNetwork(path, class_table.CITYSCAPES)
  alone, small = _merged(network, _images(), (LOGITS,))
  both, large = _merged(network, _images(), (LOGITS, FLIP_LOGITS))
  assert len(alone.get_outputs()) == 1 and len(both.get_outputs()) == 2
  assert len(small.graph.node) < len(large.graph.node)


def test_a_network_of_a_fixed_batch(tmp_path):
  path = networks.write(tmp_path, batch=2)
  network = OnnxNetwork(path, class_table.CITYSCAPES)
  foreign = foreign_network.open_foreign(network, _images(3))
  assert foreign.batch == 2
  session, _ = _merged(network, _images(2), (LOGITS,))
  (found,) = session.run(None, {'images': _images(2)})
  expected = network(_images(2)).logits
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_functions_of_a_file_are_written_out(tmp_path):
  path = networks.write(tmp_path)
  model = onnx.load(path)
  helper = onnx.helper
  function = helper.make_function(
    'own',
    'Half',
    ['x'],
    ['y'],
    [
      helper.make_node('Add', ['x', 'x'], ['twice']),
      helper.make_node('Sub', ['twice', 'x'], ['y']),
    ],
    [helper.make_opsetid('', 18)],
  )
  model.functions.append(function)
  model.opset_import.append(helper.make_opsetid('own', 1))
  model.graph.node[-1].op_type = 'Half'
  model.graph.node[-1].domain = 'own'
  onnx.save(model, path)
  network = OnnxNetwork(path, class_table.CITYSCAPES)
  session, _ = _merged(network, _images(), (LOGITS,))
  (found,) = session.run(None, {'images': _images()})
  expected = network(_images()).logits
  np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_merged(tmp_path, monkeypatch):
  path = networks.write(tmp_path, opset=13)

  def fails(model, version):
    raise RuntimeError('No adapter\x1b[31m')

  monkeypatch.setattr(onnx.version_converter, 'convert_version', fails)
  with pytest.raises(UserError, match=r'of opset 13.*opset_version=18'):
    foreign_graph.read(path)
  monkeypatch.setattr(foreign_graph, '_LARGEST', 10)
  with pytest.raises(UserError, match='more than 2 GB'):
    foreign_graph.read(path)
  path.write_bytes(b'no model')
  with pytest.raises(UserError, match='cannot be read'):
    foreign_graph.read(path)
  function = PythonNetwork(
    own_run.function(tmp_path), class_table.CITYSCAPES, image_size=_SIZE
  )
  with pytest.raises(UserError, match='no ONNX network'):
    foreign_network.open_foreign(function, _images())
