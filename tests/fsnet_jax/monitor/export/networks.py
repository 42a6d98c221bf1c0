"""Small networks from elsewhere, with all that may stand around one."""

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CHANNELS = 5
HOW = {
  'color': 'BGR',
  'scale': 255.0,
  'mean': [0.4, 0.45, 0.5],
  'std': [0.2, 0.25, 0.3],
}
_NHWC = (0, 2, 3, 1)


def write(
  folder,
  *,
  classes=19,
  opset=18,
  size=None,
  layout='NCHW',
  batch='b',
  dtype=TensorProto.FLOAT,
  softmax=False,
  branches=False,
  microsoft=False,
  external=False,
  described=HOW,
  channels=None,
  features='failure',
):
  """Writes a network: means over 4x4, a convolution, and 1x1 to logits.

  Names of its tensors are those of an exported monitor, so that they clash.

  Args:
    folder: of the file and its `model.json`.
    classes: channels of the logits.
    opset: of the operators.
    size: `input.size`.
    layout: of the input and the output.
    batch: of the input's shape.
    dtype: of the input.
    softmax: whether the output are probabilities.
    branches: whether a part is inside `If`.
    microsoft: whether an operator is of Microsoft's domain.
    external: whether weights are in a file beside it.
    described: `input` without size and layout.
    channels: `outputs.classes`.
    features: `outputs.features`.
  """
  rng = np.random.default_rng(classes)
  weights = {
    'constant_0': rng.normal(size=(CHANNELS, 3, 3, 3)) / 3,
    'constant_1': rng.normal(size=(classes, CHANNELS, 1, 1)) * 2,
  }
  first = layout == 'NCHW'
  nodes = [_node('Cast', ['images'], 'cast_0', to=TensorProto.FLOAT)]
  source = 'cast_0'
  if not first:
    nodes.append(_node('Transpose', [source], 'first', perm=(0, 3, 1, 2)))
    source = 'first'
  nodes += [
    _node('AveragePool', [source], 'pool', kernel_shape=[4, 4], strides=[4, 4]),
    _node('Conv', ['pool', 'constant_0'], 'conv', pads=[1, 1, 1, 1]),
    *_mean(opset),
    _node('Sub', ['conv', 'mean'], 'labels'),
    *_relu(branches),
    _node('Conv', ['failure', 'constant_1'], 'scores'),
  ]
  last = 'scores'
  if softmax:
    nodes.append(_node('Softmax', [last], 'chances', axis=1))
    last = 'chances'
  if not first:
    nodes.append(_node('Transpose', [last], 'last', perm=_NHWC))
    last = 'last'
  domains = {'': opset}
  if microsoft:
    domains['com.microsoft'] = 1
    nodes.append(
      _node('BiasGelu', [last, 'zeros'], 'biased', domain='com.microsoft')
    )
    weights['zeros'] = np.zeros(classes)
    last = 'biased'
  nodes.append(_node('Identity', [last], 'logits'))
  sides = ['h', 'w']
  shape = [batch, 3, *sides] if first else [batch, *sides, 3]
  graph = helper.make_graph(
    nodes,
    'small',
    [helper.make_tensor_value_info('images', dtype, shape)],
    [helper.make_empty_tensor_value_info('logits')],
    [
      numpy_helper.from_array(value.astype(np.float32), name)
      for name, value in weights.items()
    ],
  )
  model = helper.make_model(
    graph,
    opset_imports=[helper.make_opsetid(*one) for one in domains.items()],
    ir_version=10 if opset >= 18 else 8,
  )
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / 'model.onnx'
  onnx.save(
    model,
    path,
    save_as_external_data=external,
    location='weights.bin',
    size_threshold=0,
  )
  value = {
    'input': described | {'layout': layout, 'size': size},
    'outputs': {'logits': 'logits', 'features': features, 'classes': channels},
  }
  path.with_name('model.json').write_text(json.dumps(value))
  return path


def _node(kind, inputs, output, **attributes):
  return helper.make_node(kind, inputs, [output], name=output, **attributes)


def _mean(opset):
  """The mean of an image's channel, whose form changed with version 18."""
  if opset < 18:
    return [_node('ReduceMean', ['conv'], 'mean', axes=[2, 3])]
  axes = numpy_helper.from_array(np.array([2, 3], np.int64))
  return [
    _node('Constant', [], 'axes', value=axes),
    _node('ReduceMean', ['conv', 'axes'], 'mean'),
  ]


def _relu(branches):
  """The features: positive part, or a branch that says the same."""
  if not branches:
    return [_node('Relu', ['labels'], 'failure')]
  kept = numpy_helper.from_array(np.float32(0), 'inside')
  graphs = [
    helper.make_graph(
      [_node('Max', ['labels', 'inside'], f'op_{name}')],
      name,
      [],
      [helper.make_empty_tensor_value_info(f'op_{name}')],
      [kept],
    )
    for name in ('then', 'else')
  ]
  true = numpy_helper.from_array(np.array(True))
  return [
    _node('Constant', [], 'condition', value=true),
    _node(
      'If',
      ['condition'],
      'failure',
      then_branch=graphs[0],
      else_branch=graphs[1],
    ),
  ]
