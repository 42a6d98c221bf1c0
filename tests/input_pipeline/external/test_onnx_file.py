"""Networks in ONNX files against what their few weights give by hand."""

import json
import shutil
import sys

import numpy as np
import onnx
import pytest

from common_lib.class_table import ClassTable
from common_lib.class_table_file import to_text
from common_lib.errors import UserError
from input_pipeline import external
from input_pipeline.external.description import PLAIN
from input_pipeline.external.onnx_model import onnx_graph
from tests.input_pipeline.external import models
from tests.input_pipeline.external.tables import noise, table


@pytest.fixture
def opened(tmp_path):
  def make(count=4, **options):
    path = models.write(tmp_path / 'net.onnx', **options)
    return external.open_network('onnx', str(path), table(count), threads=1)

  return make


def _close(found, wanted):
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_logits_of_any_number_and_size_of_images(opened):
  network = opened()
  for images in (noise(1, 8, 12), noise(3, 5, 7)):
    found = network(images)
    assert found.logits.dtype == np.float32 and found.features is None
    _close(found.logits, models.expected(images))
  assert network.feature_channels == 0
  assert network.feature_size((8, 12)) is None
  assert network.takes_any_image and network.notes.lines == ()


def test_mean_std_scale_and_the_order_of_colours(opened):
  how = {'color': 'BGR', 'scale': 2, 'mean': [1, 2, 3], 'std': [4, 5, 6]}
  images = noise(2, 4, 4)
  inputs = (images[..., ::-1] / 2 - [1, 2, 3]) / [4, 5, 6]
  _close(opened(described=how)(images).logits, models.expected(inputs))


def test_channels_last(opened):
  images = noise(2, 4, 6)
  network = opened(shape=('b', 'h', 'w', 3))
  _close(network(images).logits, models.expected(images))


@pytest.mark.parametrize('kind', ['UINT8', 'FLOAT16', 'DOUBLE'])
def test_types_of_input(opened, kind):
  images = noise(2, 4, 6)
  network = opened(dtype=getattr(onnx.TensorProto, kind))
  _close(network(images).logits, models.expected(images))


def test_fixed_batches_are_filled_up(opened):
  images = noise(5, 4, 6)
  network = opened(shape=(2, 3, 'h', 'w'))
  _close(network(images).logits, models.expected(images))
  _close(network(images[:1]).logits, models.expected(images[:1]))


def test_images_are_resized_to_a_fixed_size_and_logits_back(opened):
  network = opened(shape=(1, 3, 8, 12))
  images = np.repeat(np.repeat(noise(2, 4, 6), 4, 1), 4, 2)
  found = network(images).logits
  assert found.shape == (2, 16, 24, 4)
  # Squares of one colour keep it in their middle: 16 to 8, and to 16 again.
  assert network.input.size == (8, 12)
  notes = ' '.join(network.notes.lines)
  assert 'images of 16x24 are resized to 8x12' in notes
  assert 'the logits are 8x12, the images 16x24' in notes
  network(images)
  assert len(network.notes.lines) == 2


def test_features_are_inner_tensors_of_several_depths(opened):
  network = opened(outputs={'features': ['quarter', 'half']})
  assert network.feature_channels == 6
  assert network.feature_size((8, 16)) == (4, 8)
  images = noise(2, 8, 16)
  found = network(images)
  _close(found.logits, models.expected(images))
  half = images.reshape(2, 4, 2, 8, 2, 3).mean((2, 4))
  _close(found.features[..., 3:], half)
  quarter = images.reshape(2, 2, 4, 4, 4, 3).mean((2, 4))
  # Output pixel 1 of 4 has its centre at 0.75 of two: 3/4 and 1/4.
  _close(found.features[:, 0, 0, :3], quarter[:, 0, 0])
  row = 0.75 * quarter[:, 0] + 0.25 * quarter[:, 1]
  _close(found.features[:, 1, 0, :3], row[:, 0])
  _close(found.features[:, 1, 2, :3], 0.25 * row[:, 0] + 0.75 * row[:, 1])


def test_one_depth_alone_and_logits_that_are_no_output(opened):
  network = opened(
    end=[('ArgMax', {'axis': 1})],
    outputs={'logits': 'scores', 'features': 'half'},
  )
  images = noise(1, 8, 8)
  found = network(images)
  _close(found.logits, models.expected(images))
  _close(found.features, images.reshape(1, 4, 2, 4, 2, 3).mean((2, 4)))


def test_outputs_are_added_without_the_package_onnx(
  tmp_path, monkeypatch, opened
):
  for name in [name for name in sys.modules if name.split('.')[0] == 'onnx']:
    monkeypatch.delitem(sys.modules, name)
  path = models.write(tmp_path / 'net.onnx', outputs={'features': 'half'})
  monkeypatch.setitem(sys.modules, 'onnx', None)
  network = external.open_network('onnx', str(path), table(4))
  assert network.feature_channels == 3


def test_a_class_map_names_the_tensor_before_it(opened):
  with pytest.raises(UserError) as caught:
    opened(end=[('ArgMax', {'axis': 1, 'keepdims': 0})])(noise(1, 4, 4))
  message = str(caught.value)
  assert "output 'logits': int64 [1 4 4] is a class map" in message
  assert 'export the network without its argmax' in message


def test_a_class_map_out_of_an_argmax_itself(tmp_path):
  path = models.write(tmp_path / 'net.onnx', end=[('ArgMax', {'axis': 1})])
  model = onnx.load(path)
  model.graph.node.pop()  # the copy at the end
  model.graph.output[0].name = 'end_0'
  onnx.save(model, path)
  network = external.open_network('onnx', str(path), table(4))
  with pytest.raises(UserError, match="outputs.logits = 'scores'"):
    network(noise(1, 4, 4))


def test_probabilities_have_the_same_softmax(opened):
  network = opened(end=[('Softmax', {'axis': 1})])
  images = noise(2, 4, 6)
  found = np.exp(network(images).logits)
  wanted = np.exp(models.expected(images))
  _close(found, wanted / wanted.sum(-1, keepdims=True))
  assert 'probabilities, not logits' in network.notes.lines[0]
  network(images)
  assert len(network.notes.lines) == 1


def test_one_channel_more_than_classes(opened, tmp_path):
  images = noise(1, 4, 4)
  with pytest.raises(UserError) as caught:
    opened(channels=5)(images)
  message = str(caught.value)
  assert 'have 5 channels, but the class table has 4 classes' in message
  assert '{"classes": [0, 1, ..., 3]} in' in message
  assert message.endswith('[1, 2, ..., 4]')
  network = opened(channels=5, outputs={'classes': [1, 2, 3, 4]})
  _close(network(images).logits, models.expected(images, 5)[..., 1:])


def test_another_number_of_classes(opened):
  with pytest.raises(UserError, match='give the class table of the network'):
    opened(channels=9)(noise(1, 4, 4))


def test_several_channels_add_up_to_a_class(opened):
  images = noise(1, 4, 4)
  network = opened(2, channels=4, outputs={'classes': [[0, 3], 2]})
  logits = models.expected(images)
  wanted = np.log(np.exp(logits[..., 0]) + np.exp(logits[..., 3]))
  _close(network(images).logits[..., 0], wanted)
  _close(network(images).logits[..., 1], logits[..., 2])


def test_a_channel_beyond_the_last(opened):
  with pytest.raises(UserError, match='names channel 7; channels count from 0'):
    opened(2, outputs={'classes': [0, 7]})(noise(1, 4, 4))


def test_classes_of_the_network_meet_those_of_the_data_by_name(
  opened, tmp_path
):
  own = ClassTable(
    names=('b', 'x', 'c', 'y'),
    colors=((1, 0, 0), (2, 0, 0), (3, 0, 0), (4, 0, 0)),
    ids=((1,), (2,), (3,), (4,)),
    groups=(('b', ('b',)), ('a', ('x', 'y')), ('c', ('c',))),
  )
  (tmp_path / 'classes.json').write_text(to_text(own))
  images = noise(1, 4, 4)
  logits = models.expected(images)
  found = opened(3, classes='classes.json')(images).logits
  wanted = np.log(np.exp(logits[..., 1]) + np.exp(logits[..., 3]))
  _close(found, np.stack([wanted, logits[..., 0], logits[..., 2]], -1))
  with pytest.raises(UserError, match="a class 'd', which is neither"):
    opened(4, classes='classes.json')


def test_what_is_assumed_without_a_description(opened):
  network = opened(described=None)
  images = noise(1, 4, 4)
  inputs = (images / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
  _close(network(images).logits, models.expected(inputs))
  assert 'gives no input: RGB, divided by 255' in network.notes.lines[0]
  network = opened(described=None, dtype=onnx.TensorProto.UINT8)
  _close(network(images).logits, models.expected(images))
  assert 'RGB as it is' in network.notes.lines[0]


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ({'shape': ('b', 4, 'h', 'w')}, 'not .images 3 height width. or'),
    ({'shape': ('b', 3, 'h', 3)}, 'give input.layout in'),
    ({'more_inputs': ('more',)}, r'2 inputs \(images, more\), not one'),
    ({'described': {**models.PLAIN, 'layout': 'NHWC'}}, 'correct input.layout'),
    (
      {'described': {**models.PLAIN, 'size': [8, 6]}, 'shape': (1, 3, 8, 8)},
      r'input.size is \[8, 6\], but net.onnx takes a width of 8 alone',
    ),
    (
      {'described': {**models.PLAIN, 'scale': 255}, 'dtype': 2},
      'whole numbers .uint8., which cannot be scaled',
    ),
    ({'dtype': onnx.TensorProto.INT64}, 'export it with an input of float32'),
    (
      {'outputs': {'features': 'halve'}},
      "'halve', which is no tensor of net.onnx; did you mean 'half'",
    ),
    (
      {'outputs': {'logits': 'zzzz'}},
      "'zzzz', which is no tensor of net.onnx; its outputs are logits",
    ),
    (
      {'outputs': {'features': '/stem/Identity'}},
      "is an operation; its output is 'stem'",
    ),
    (
      {'outputs': {'features': 'kept'}, 'end': [('ArgMax', {'axis': 1})]},
      'is no tensor of net.onnx',
    ),
  ],
)
def test_mistakes_that_are_seen_when_it_is_opened(opened, options, message):
  with pytest.raises(UserError, match=message):
    opened(**options)


def test_a_size_that_the_network_does_not_take(opened):
  # 16 channels of each 4x4 pixels: sides have to be multiples of 4.
  network = opened(end=[('SpaceToDepth', {'blocksize': 4})])
  with pytest.raises(UserError) as caught:
    network(noise(1, 3, 2))
  assert 'fails on an input of [1 3 3 2]' in str(caught.value)
  assert 'input.size in' in str(caught.value)


def test_features_that_are_no_map(tmp_path):
  path = models.write(
    tmp_path / 'net.onnx',
    end=[('ArgMax', {'axis': 1})],
    outputs={'logits': 'scores', 'features': 'end_0'},
  )
  with pytest.raises(UserError, match=r'features are int64 \[1 1 256 512\]'):
    external.open_network('onnx', str(path), table(4))


def test_of_several_outputs_the_one_with_the_classes_is_taken(tmp_path):
  path = models.write(tmp_path / 'net.onnx')
  model = onnx.load(path)
  model.graph.output.append(onnx.helper.make_empty_tensor_value_info('half'))
  onnx.save(model, path)
  images = noise(1, 4, 4)
  network = external.open_network('onnx', str(path), table(4))
  _close(network(images).logits, models.expected(images))
  model.graph.output.append(onnx.helper.make_empty_tensor_value_info('scores'))
  onnx.save(model, path)
  with pytest.raises(UserError, match=r'can be the logits \(logits, scores\)'):
    external.open_network('onnx', str(path), table(4))


def test_nan_is_refused(opened):
  network = opened(
    end=[('Neg', {}), ('Sqrt', {})], described={**models.PLAIN, 'scale': 1}
  )
  with pytest.raises(UserError, match='the logits hold NaN'):
    network(noise(1, 4, 4))


def test_files_that_are_no_network(tmp_path):
  path = tmp_path / 'net.onnx'
  with pytest.raises(UserError, match='which is no file; give an .onnx file'):
    external.open_network('onnx', str(path), table(4))
  for content in (b'', b'\xff' * 99, b'{"a": 1}', b'\x08\x01'):
    path.write_bytes(content)
    with pytest.raises(UserError, match='cannot be read as an ONNX file'):
      external.open_network('onnx', str(path), table(4))
  whole = models.write(path).read_bytes()
  rng = np.random.default_rng(0)
  for end in rng.integers(1, len(whole), 40):
    path.write_bytes(whole[:end])
    with pytest.raises(UserError, match='read as an ONNX file|cannot load it'):
      external.open_network('onnx', str(path), table(4))
  model = onnx.load_from_string(whole)
  model.opset_import[0].version = 999
  onnx.save(model, path)
  with pytest.raises(UserError, match='cannot load it'):
    external.open_network('onnx', str(path), table(4))


def test_weights_in_a_file_beside_it(tmp_path):
  path = models.write(tmp_path / 'net.onnx', outputs={'features': 'half'})
  images = noise(1, 4, 4)
  plain = external.open_network('onnx', str(path), table(4))
  onnx.save(
    onnx.load(path),
    path,
    save_as_external_data=True,
    location='net.bin',
    size_threshold=0,
  )
  network = external.open_network('onnx', str(path), table(4))
  _close(network(images).logits, plain(images).logits)
  before = network.fingerprint()
  weights = bytearray((tmp_path / 'net.bin').read_bytes())
  weights[3] ^= 1
  (tmp_path / 'net.bin').write_bytes(weights)
  network = external.open_network('onnx', str(path), table(4))
  assert network.fingerprint() != before
  (tmp_path / 'net.bin').unlink()
  with pytest.raises(UserError, match='its weights are in net.bin'):
    external.open_network('onnx', str(path), table(4))


def test_the_fingerprint_is_of_all_that_decides_outputs(opened, tmp_path):
  first = opened().fingerprint()
  assert len(first) == 64 and opened().fingerprint() == first
  others = {
    opened(outputs={'classes': [3, 2, 1, 0]}).fingerprint(),
    opened(described={**models.PLAIN, 'color': 'BGR'}).fingerprint(),
    opened(described={**models.PLAIN, 'std': [1, 1, 2]}).fingerprint(),
    opened(outputs={'features': 'half'}).fingerprint(),
    opened(end=[('Neg', {})]).fingerprint(),
  }
  assert len(others | {first}) == 6
  shutil.copytree(tmp_path, tmp_path / 'copy')
  opened()
  copy = tmp_path / 'copy' / 'net.onnx'
  models.write(copy)
  network = external.open_network('onnx', str(copy), table(4))
  assert network.fingerprint() == first


def test_another_input_for_the_same_network(opened):
  network = opened(described={**models.PLAIN, 'scale': 255})
  images = noise(1, 4, 4)
  other = network.with_input(PLAIN)
  _close(other(images).logits, models.expected(images))
  _close(network(images).logits, models.expected(images / 255))


def test_without_onnxruntime_or_cuda(opened, tmp_path, monkeypatch):
  path = models.write(tmp_path / 'net.onnx')
  for provider, message in (
    ('cuda', 'pip install onnxruntime-gpu'),
    ('tpu', 'use cpu or cuda'),
  ):
    with pytest.raises(UserError, match=message):
      external.open_network('onnx', str(path), table(4), provider=provider)
  # One that has CUDA, but no driver, goes on with the CPU.
  import onnxruntime

  session = onnxruntime.InferenceSession
  with monkeypatch.context() as patched:
    patched.setattr(
      onnxruntime,
      'get_available_providers',
      lambda: ['CUDAExecutionProvider', 'CPUExecutionProvider'],
    )
    patched.setattr(
      onnxruntime,
      'InferenceSession',
      lambda content, options, providers: session(
        content, options, providers=providers[1:]
      ),
    )
    with pytest.raises(UserError, match='but onnxruntime cannot start it'):
      external.open_network('onnx', str(path), table(4), provider='cuda')
  monkeypatch.setitem(sys.modules, 'onnxruntime', None)
  with pytest.raises(UserError, match='-r requirements-onnx.txt'):
    external.open_network('onnx', str(path), table(4))


def test_the_graph_is_read_as_onnx_reads_it(tmp_path):
  path = models.write(tmp_path / 'net.onnx', end=[('Relu', {})])
  model = onnx.load(path)
  graph = onnx_graph.read(path.read_bytes())
  assert graph.outputs == ('logits',) and graph.external == ()
  assert [
    (n.name, n.operator, list(n.inputs), list(n.outputs)) for n in graph.nodes
  ] == [
    (n.name, n.op_type, list(n.input), list(n.output)) for n in model.graph.node
  ]
  more = onnx_graph.with_outputs(path.read_bytes(), ('half', 'stem'))
  again = onnx.load_from_string(more)
  assert [one.name for one in again.graph.output] == ['logits', 'half', 'stem']
  del again.graph.output[1:]
  assert again == model


def test_the_description_may_be_absent(tmp_path):
  path = models.write(tmp_path / 'net.onnx', described=None)
  assert not (tmp_path / 'model.json').exists()
  external.open_network('onnx', str(path), table(4))
  (tmp_path / 'model.json').write_text(json.dumps({}))
  network = external.open_network('onnx', str(path), table(4))
  assert len(network.notes.lines) == 1
