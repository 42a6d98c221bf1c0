"""Small ONNX files: 1x1 convolutions, whose outputs are a matrix product."""

import json

import numpy as np
from onnx import TensorProto, helper, numpy_helper, save

#: What `model.json` says of networks that take the image as it is.
PLAIN = {'color': 'RGB', 'scale': 1, 'mean': [0, 0, 0], 'std': [1, 1, 1]}


def weights(channels):
  """Weights of the classes, [channels 3]."""
  return np.random.default_rng(channels).normal(size=(channels, 3)) / 64


def expected(images, channels=4):
  """Logits [b h w channels] of the network that `write` makes."""
  return np.float32(images) @ np.float32(weights(channels)).T


def write(
  path,
  *,
  channels=4,
  shape=('b', 3, 'h', 'w'),
  dtype=TensorProto.FLOAT,
  end=(),
  described=PLAIN,
  outputs=None,
  more_inputs=(),
  classes=None,
):
  """Writes a network: stem (a copy, `stem`), its mean over 2x2 (`half`), over
  4x4 (`quarter`), and `scores`, a 1x1 convolution of the stem.

  Args:
    path: of the file; `model.json` is written beside it.
    channels: of the scores.
    shape: of the input, whose layout it decides.
    dtype: of the input.
    end: operators after the scores, (name, attributes); the last one's output
      is the network's only one, `logits`.
    described: `input` of model.json, None = no file.
    outputs: `outputs` of model.json.
    more_inputs: names of further inputs.
    classes: `classes` of model.json.
  """
  nodes, source = [], 'images'
  if dtype != TensorProto.FLOAT:
    nodes.append(helper.make_node('Cast', [source], ['cast'], to=1))
    source = 'cast'
  if shape[3] == 3:
    nodes.append(
      helper.make_node('Transpose', [source], ['first'], perm=[0, 3, 1, 2])
    )
    source = 'first'
  nodes += [
    helper.make_node('Identity', [source], ['stem'], name='/stem/Identity'),
    pool('stem', 'half', 2),
    pool('stem', 'quarter', 4),
    helper.make_node('Conv', ['stem', 'kernel'], ['scores']),
  ]
  last = 'scores'
  for place, (operator, attributes) in enumerate(end):
    name = f'end_{place}'
    nodes.append(helper.make_node(operator, [last], [name], **attributes))
    last = name
  nodes.append(helper.make_node('Identity', [last], ['logits']))
  kernel = np.float32(weights(channels))[:, :, None, None]
  graph = helper.make_graph(
    nodes,
    'small',
    [helper.make_tensor_value_info('images', dtype, shape)]
    + [
      helper.make_tensor_value_info(name, TensorProto.FLOAT, [1])
      for name in more_inputs
    ],
    [helper.make_empty_tensor_value_info('logits')],
    [numpy_helper.from_array(kernel, 'kernel')],
  )
  save(
    helper.make_model(
      graph, opset_imports=[helper.make_opsetid('', 18)], ir_version=10
    ),
    path,
  )
  if described is not None or outputs is not None or classes is not None:
    describe(path, described, outputs, classes)
  return path


def pool(source, name, side):
  """A node that takes means over squares."""
  return helper.make_node(
    'AveragePool',
    [source],
    [name],
    kernel_shape=[side, side],
    strides=[side, side],
  )


def describe(path, described, outputs=None, classes=None):
  """Writes the `model.json` of a network."""
  value = {'input': described, 'outputs': outputs, 'classes': classes}
  path.with_name('model.json').write_text(json.dumps(value))
