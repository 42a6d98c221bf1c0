"""An exported monitor as small as can be: the `Stub`, as an ONNX file."""

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

from common_lib import class_table_file
from tests.fsnet_jax.monitor.predict.stub import CLASSES


def write(path, threshold=0.5, reference=None):
  """The class is red modulo 3, P(wrong) is green / 255."""
  node, value = helper.make_node, helper.make_tensor_value_info
  size = ['batch', 'height', 'width']
  constants = {
    'red': np.array(0),
    'green': np.array(1),
    'three': np.array(3, np.uint8),
    'most': np.array(255, np.float32),
    'threshold': np.array(threshold, np.float32),
  }
  graph = helper.make_graph(
    [
      node('Gather', ['images', 'red'], ['reds'], axis=3),
      node('Mod', ['reds', 'three'], ['labels']),
      node('Gather', ['images', 'green'], ['greens'], axis=3),
      node('Cast', ['greens'], ['values'], to=TensorProto.FLOAT),
      node('Div', ['values', 'most'], ['failure']),
      node('Greater', ['failure', 'threshold'], ['flagged']),
    ],
    'stub',
    [value('images', TensorProto.UINT8, [*size, 3])],
    [
      value('labels', TensorProto.UINT8, size),
      value('failure', TensorProto.FLOAT, size),
      value('flagged', TensorProto.BOOL, size),
    ],
    [numpy_helper.from_array(own, name) for name, own in constants.items()],
  )
  model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10
  )
  said = {
    'fsnet.schema': '1',
    'fsnet.classes': class_table_file.to_json(CLASSES),
    'fsnet.threshold': repr(threshold),
    'fsnet.statement': 'With 95 % confidence, it is so.',
    'fsnet.detector': 'fsnet',
    'fsnet.run': 'stub',
    'fsnet.reference': '' if reference is None else json.dumps(reference),
  }
  helper.set_model_props(model, said)
  save(model, path)
  return path
