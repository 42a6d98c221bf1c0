"""ONNX files that name weights elsewhere, or more values than they hold."""

import os

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common_lib.errors import UserError
from input_pipeline import external
from input_pipeline.files import onnx_wire
from tests.input_pipeline.external import models
from tests.input_pipeline.external.tables import noise, table


@pytest.fixture
def split(tmp_path):
  """`inside/net.onnx` with its weights in `inside/net.bin`."""
  folder = tmp_path / 'inside'
  folder.mkdir()
  path = models.write(folder / 'net.onnx')
  onnx.save(
    onnx.load(path),
    path,
    save_as_external_data=True,
    location='net.bin',
    size_threshold=0,
  )
  return path


def _moved(path, location):
  """The file, with weights said to be elsewhere."""
  model = onnx.load(path, load_external_data=False)
  for tensor in model.graph.initializer:
    for entry in tensor.external_data:
      if entry.key == 'location':
        entry.value = location
  path.write_bytes(model.SerializeToString())


def test_weights_in_a_folder_below_are_found(split):
  below = split.parent / 'weights'
  below.mkdir()
  (split.parent / 'net.bin').rename(below / 'net.bin')
  _moved(split, 'weights/net.bin')
  network = external.open_network('onnx', str(split), table(4))
  images = noise(1, 4, 4)
  np.testing.assert_allclose(
    network(images).logits, models.expected(images), rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  ('location', 'words'),
  [
    ('../net.bin', 'not in the folder'),
    ('weights/../../net.bin', 'not in the folder'),
    ('ABSOLUTE', 'not in the folder'),
    ('C:\\net.bin', 'not in the folder'),
    ('..\\net.bin', 'not in the folder'),
    ('link.bin', 'not in the folder'),
    ('linked/net.bin', 'not in the folder'),
    ('weights', 'cannot be read'),
    ('circle', 'cannot be read'),
    ('pipe', 'cannot be read'),
    ('no.bin', 'cannot be read'),
    ('a' * 5000, 'cannot be read'),
  ],
)
def test_weights_elsewhere_are_refused(split, location, words):
  outside = split.parent.parent / 'net.bin'
  folder = split.parent
  (folder / 'net.bin').rename(outside)
  (folder / 'link.bin').symlink_to(outside)
  (folder / 'linked').symlink_to(outside.parent)
  (folder / 'circle').symlink_to('circle')
  (folder / 'weights').mkdir()
  os.mkfifo(folder / 'pipe')
  _moved(split, str(outside) if location == 'ABSOLUTE' else location)
  with pytest.raises(UserError, match=words) as error:
    external.open_network('onnx', str(split), table(4))
  assert '\n' not in str(error.value) and len(str(error.value)) < 700


def _tensor(location=None, dims=(4,)):
  tensor = numpy_helper.from_array(np.ones(4, np.float32), 'w')
  del tensor.dims[:]
  tensor.dims.extend(dims)
  if location:
    tensor.ClearField('raw_data')
    # The last key counts for protobuf, the first one for others.
    tensor.external_data.add(key='location', value=location)
  return tensor


def _model(nodes=(), initializers=(), functions=(), sparse=()):
  graph = helper.make_graph(
    list(nodes),
    'g',
    [],
    [helper.make_tensor_value_info('y', 1, [4])],
    list(initializers),
  )
  graph.sparse_initializer.extend(sparse)
  return helper.make_model(graph, functions=list(functions)).SerializeToString()


def _constant(tensor):
  return helper.make_node('Constant', [], ['y'], value=tensor)


def _branch(node):
  graph = helper.make_graph(
    [node], 'b', [], [helper.make_tensor_value_info('y', 1, [4])]
  )
  return helper.make_node(
    'If', ['c'], ['y'], then_branch=graph, else_branch=graph
  )


def _function(node):
  return helper.make_function(
    'own', 'f', [], ['y'], [node], [helper.make_opsetid('', 18)]
  )


def _sparse(dims, location=None):
  return helper.make_sparse_tensor(
    _tensor(location), numpy_helper.from_array(np.arange(4), 'i'), dims
  )


def test_every_tensor_of_a_file_is_looked_at():
  """Wherever one can stand."""
  for model in (
    _model(initializers=[_tensor('x.bin')]),
    _model([_constant(_tensor('x.bin'))]),
    _model([_branch(_branch(_constant(_tensor('x.bin'))))]),
    _model(functions=[_function(_constant(_tensor('x.bin')))]),
    _model(sparse=[_sparse([8], 'x.bin')]),
  ):
    assert onnx_wire.external_files(model) == ('x.bin',)
  assert onnx_wire.external_files(_model([_constant(_tensor())])) == ()


def test_a_key_twice_hides_nothing():
  tensor = _tensor('x.bin')
  entry = tensor.external_data[0].SerializeToString()
  # key, value, key, value of one entry.
  second = onnx.StringStringEntryProto(key='no', value='z.bin')
  content = tensor.SerializeToString()
  longer = entry + second.SerializeToString()
  content = content.replace(
    bytes([len(entry)]) + entry, bytes([len(longer)]) + longer
  )
  found = onnx_wire._checked_tensor(memoryview(content))
  assert found == ['x.bin', 'z.bin']


@pytest.mark.parametrize(
  ('model', 'words'),
  [
    (_model(initializers=[_tensor(dims=[1 << 50])]), '1.13e.15 values'),
    (_model([_branch(_constant(_tensor(dims=[1 << 50])))]), '1.13e.15 values'),
    (_model(initializers=[_tensor(dims=[1 << 31] * 40)]), 'values'),
    (_model(initializers=[_tensor(dims=[-1])]), 'negative'),
    (_model(sparse=[_sparse([1 << 40])]), 'sparse tensor'),
    (b'\x3a\xff\xff\xff\xff\x7f', 'ends too early'),
    (b'\x3a\xff', 'ends too early'),
    (b'\x3b', 'no protocol buffer'),
  ],
  ids=range(8),
)
def test_sizes_are_not_believed(model, words):
  with pytest.raises(onnx_wire.NotOnnx, match=words):
    onnx_wire.external_files(model)


def test_nesting_is_bounded():
  """A loop in a loop in a loop, as no exporter writes them."""
  content = b''
  for _ in range(100):  # graph.node[0].attribute[0].g
    for number in (6, 5, 1):
      size = len(content)
      head = bytes([size]) if size < 128 else None
      if head is None:
        head = bytes([size & 127 | 128, size >> 7])
      content = bytes([number << 3 | 2]) + head + content
  content = (
    b'\x3a' + bytes([len(content) & 127 | 128, len(content) >> 7]) + (content)
  )
  with pytest.raises(onnx_wire.NotOnnx, match='too deep'):
    onnx_wire.external_files(content)


def test_of_random_bytes_nothing_else_is_raised():
  rng = np.random.default_rng(0)
  good = _model([_constant(_tensor('x.bin'))], [_tensor()])
  refused = 0
  for _ in range(2000):
    content = bytearray(good)
    for at in rng.integers(0, len(content), 3):
      content[at] = rng.integers(256)
    try:
      onnx_wire.external_files(bytes(content[: rng.integers(1, len(good))]))
    except onnx_wire.NotOnnx:
      refused += 1
  assert refused > 1000


def test_values_of_less_than_a_byte():
  """Two 4-bit values in a byte, none of them refused."""
  tensor = helper.make_tensor('w', TensorProto.INT4, [64], [1] * 64)
  assert onnx_wire.external_files(_model(initializers=[tensor])) == ()
