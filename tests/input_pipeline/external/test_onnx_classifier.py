"""Whether the last convolution of an ONNX file is found, and nothing else."""

import json

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, save

from input_pipeline import external
from tests.input_pipeline.external import models
from tests.input_pipeline.external.tables import noise, table

KERNEL = np.random.default_rng(0).normal(size=(4, 6, 1, 1)).astype(np.float32)
BODY = np.random.default_rng(1).normal(size=(6, 3, 1, 1)).astype(np.float32)


def _network(folder, nodes, features='features', kernel=KERNEL, **outputs):
  """A file: `body` is 6 channels of the images, then `nodes` to `logits`."""
  value = helper.make_tensor_value_info
  body = helper.make_node('Conv', ['images', 'body_kernel'], ['body'])
  graph = helper.make_graph(
    [body, *nodes],
    'net',
    [value('images', TensorProto.FLOAT, ['b', 3, 'h', 'w'])],
    [helper.make_empty_tensor_value_info('logits')],
    [
      numpy_helper.from_array(BODY, 'body_kernel'),
      numpy_helper.from_array(kernel, 'kernel'),
      numpy_helper.from_array(np.float32([1, 1, 2, 2]), 'scales'),
    ],
  )
  opset = [helper.make_opsetid('', 18)]
  path = folder / 'net.onnx'
  save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
  described = {'logits': 'logits', 'features': features, **outputs}
  models.describe(path, models.PLAIN, described)
  return external.open_network('onnx', str(path), table(4), threads=1)


def _node(operator, inputs, output, **attributes):
  return helper.make_node(operator, inputs, [output], **attributes)


CONV = _node('Conv', ['features', 'kernel'], 'scores')
RELU = _node('Relu', ['body'], 'features')
ENLARGED = _node('Resize', ['scores', '', 'scales'], 'logits', mode='linear')


def test_a_1x1_convolution_with_an_interpolation_behind_it(tmp_path):
  network = _network(tmp_path, [RELU, CONV, ENLARGED])
  found = network.classifier()
  np.testing.assert_array_equal(found, KERNEL[:, :, 0, 0].T)
  # They do make the logits.
  output = network(noise(1, 4, 6))
  assert output.features is not None and output.features.shape[-1] == 6


def test_channels_are_brought_into_the_order_of_the_classes(tmp_path):
  order = [3, 1, 0, 2]
  network = _network(
    tmp_path,
    [RELU, CONV, _node('Identity', ['scores'], 'logits')],
    classes=order,
  )
  found = network.classifier()
  np.testing.assert_array_equal(found, KERNEL[order, :, 0, 0].T)


def test_a_file_whose_only_output_has_no_name_in_model_json(tmp_path):
  network = _network(
    tmp_path,
    [RELU, CONV, _node('Cast', ['scores'], 'logits', to=1)],
    logits=None,
  )
  assert network.classifier().shape == (6, 4)


WIDE = np.zeros((4, 6, 3, 3), np.float32)


@pytest.mark.parametrize(
  ('nodes', 'features', 'kernel'),
  [
    # Not of those features, but of what a further step makes of them.
    ([RELU, CONV, ENLARGED], 'body', KERNEL),
    # More than an interpolation behind it.
    ([RELU, CONV, _node('Sigmoid', ['scores'], 'logits')], 'features', KERNEL),
    # Not 1x1.
    (
      [
        RELU,
        _node('Conv', ['features', 'kernel'], 'logits', pads=[1, 1, 1, 1]),
      ],
      'features',
      WIDE,
    ),
    # No features, or of several depths.
    ([RELU, CONV, ENLARGED], None, KERNEL),
    ([RELU, CONV, ENLARGED], ['features', 'body'], KERNEL),
  ],
)
def test_whatever_else_makes_the_logits_has_none(
  nodes, features, kernel, tmp_path
):
  assert _network(tmp_path, nodes, features, kernel).classifier() is None


def test_classes_of_several_channels_have_none(tmp_path):
  nodes = [RELU, CONV, _node('Identity', ['scores'], 'logits')]
  network = _network(tmp_path, nodes)
  path = tmp_path / 'net.onnx'
  outputs = {'logits': 'logits', 'features': 'features'}
  models.describe(path, models.PLAIN, {**outputs, 'classes': [[0, 1], 2]})
  assert json.loads((tmp_path / 'model.json').read_text())['outputs']
  added = external.open_network('onnx', str(path), table(2), threads=1)
  assert network.classifier() is not None and added.classifier() is None
