"""ESPNet: the published names, its modules, the exported file."""

import hashlib
import json
import pickle

import numpy as np
import onnxruntime
import pytest
import torch

from common_lib import class_table_file
from common_lib.errors import UserError
from examples import espnet, espnet_network


def _published(state):
  """As the authors' PyTorch wrote it: without counters of batches."""
  return {
    name: array
    for name, array in state.items()
    if not name.endswith('num_batches_tracked')
  }


def _random(network, seed=0):
  """Random weights and statistics, none of them zero or one."""
  generator = torch.Generator().manual_seed(seed)
  for name, array in network.state_dict().items():
    if array.is_floating_point():
      noise = torch.randn(array.shape, generator=generator)
      array.copy_(noise.abs() + 0.5 if name.endswith('_var') else 0.3 * noise)
  return network.eval()


@pytest.fixture(scope='module')
def camvid(tmp_path_factory):
  """A small network of CamVid's channels, and its file for any size."""
  path = tmp_path_factory.mktemp('camvid') / 'new' / 'espnet.onnx'
  network = _random(espnet_network.ESPNet(12, p=1, q=0))
  assert espnet.export(network, path) < 1e-4
  return network, path


@pytest.mark.parametrize(
  ('num_classes', 'skip_channels', 'digest'),
  [
    # Of the names and shapes in espnet_p_2_q_8.pth and in
    # espnet_p_2_q_8_camvid.pth.
    (20, 16, 'cf0339f9e627e887f38c2deda328f7e8'),
    (12, 19, 'd14600d43a92c3d9e6ea5de4029fad4d'),
  ],
)
def test_names_and_shapes_are_those_published(
  num_classes, skip_channels, digest
):
  network = espnet_network.ESPNet(num_classes, skip_channels)
  state = _published(network.state_dict())
  lines = [f'{n} {tuple(v.shape)}\n' for n, v in sorted(state.items())]
  assert len(lines) == 189
  found = hashlib.sha256(''.join(lines).encode()).hexdigest()
  assert found[:32] == digest


@pytest.mark.parametrize('skip_channels', [16, 19])
def test_a_state_tells_the_architecture(skip_channels):
  network = _random(espnet_network.ESPNet(7, skip_channels, p=1, q=2))
  read = espnet_network.from_state(_published(network.state_dict()))
  images = torch.randn(1, 3, 16, 24)
  with torch.no_grad():
    logits, deep, quarter = found = read(images)
    expected = network(images)
  assert logits.shape == (1, 7, 16, 24)
  assert deep.shape == (1, 256, 2, 3) and quarter.shape == (1, 131, 4, 6)
  for one, other in zip(found, expected):
    torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_sums_of_the_pyramid():
  # Every branch hands its input on: x, then sums of one to four branches.
  module = espnet_network.Esp(5, 10)
  for name, weights in module.named_parameters():
    if name.endswith('conv.weight'):
      middle = weights.shape[-1] // 2
      weights.data.zero_()
      for channel in range(min(weights.shape[:2])):
        weights.data[channel, channel, middle, middle] = 1
  x = torch.arange(5.0).reshape(1, 5, 1, 1)
  # Two channels a branch: 0 and 1.
  sums = module.pyramid(x)[0, :, 0, 0].tolist()
  assert sums == [0, 1, 0, 1, 0, 2, 0, 3, 0, 4]


@pytest.mark.parametrize('rate', [1, 2, 4, 8, 16])
def test_rates_of_the_branches(rate):
  module = espnet_network.Esp(5, 5)
  branch = getattr(module, f'd{rate}').conv
  branch.weight.data.fill_(1)
  x = torch.zeros(1, 1, 65, 65)
  x[..., 32, 32] = 1
  hit = branch(x)[0, 0].nonzero().tolist()
  around = [32 - rate, 32, 32 + rate]
  assert hit == [[row, column] for row in around for column in around]


def test_residual_only_where_channels_agree():
  assert espnet_network.Esp(64, 64).residual
  assert not espnet_network.Esp(40, 20).residual


def test_input_is_blue_green_red():
  images = np.array([[[[10, 20, 30]]]], np.uint8)
  x = espnet.input_format('cityscapes').apply(images)
  mean, deviation = espnet.STATISTICS['cityscapes']
  expected = [
    (value - m) / d / 255 for value, m, d in zip((30, 20, 10), mean, deviation)
  ]
  assert x.shape == (1, 3, 1, 1) and x.dtype == np.float32
  np.testing.assert_allclose(x.ravel(), expected, rtol=1e-6)


@pytest.mark.parametrize('shape', [(1, 3, 8, 8), (3, 3, 40, 24)])
def test_exported_file_computes_the_same_at_any_size(camvid, shape):
  network, path = camvid
  images = np.random.default_rng(1).normal(0, 0.01, shape).astype(np.float32)
  session = onnxruntime.InferenceSession(path)
  found = session.run(list(espnet.OUTPUTS), {'images': images})
  with torch.no_grad():
    expected = [array.numpy() for array in network(torch.from_numpy(images))]
  for one, other in zip(found, expected):
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_descriptions_of_camvid(camvid):
  _, path = camvid
  description = json.loads(path.with_name('model.json').read_text())
  assert description == {
    'input': {
      'layout': 'NCHW',
      'color': 'BGR',
      'scale': 1.0,
      'mean': pytest.approx([110.2, 108.35, 104.95], abs=0.01),
      'std': pytest.approx([255 * d for d in (72.036, 72.564, 69.847)], 1e-4),
      'size': None,
    },
    'outputs': {
      'logits': 'logits',
      'features': 'features',
      'classes': list(range(11)),
    },
    'classes': 'classes.json',
  }
  table = class_table_file.read(path.with_name('classes.json'))
  assert table.names[3] == 'road' and table.void_ids == (11,)


def test_another_network_beside_it_keeps_its_description(camvid):
  _, path = camvid
  before = path.with_name('model.json').read_text()
  other = path.with_name('other.onnx')
  with pytest.raises(UserError, match=r'model.json describes espnet.onnx'):
    espnet.export(espnet_network.ESPNet(20, 16, p=0, q=0), other)
  assert path.with_name('model.json').read_text() == before
  assert not other.exists()


def test_the_command_for_one_size(tmp_path, capsys):
  weights, path = tmp_path / 'weights.pth', tmp_path / 's.onnx'
  network = _random(espnet_network.ESPNet(20, 16, p=0, q=0))
  torch.save(_published(network.state_dict()), weights)
  espnet.main([f'--weights={weights}', f'--output={path}', '--size=16,24'])
  assert '20 channels' in capsys.readouterr().err
  description = json.loads((tmp_path / 'model.json').read_text())
  assert description['input']['size'] == [16, 24]
  assert description['input']['mean'][0] == 72.3923111
  assert description['outputs']['classes'] == list(range(19))
  assert description['classes'] is None
  inputs = onnxruntime.InferenceSession(path).get_inputs()
  assert inputs[0].shape[1:] == [3, 16, 24]


class _Harmful:
  def __reduce__(self):
    return print, ('this pickle was run',)


@pytest.mark.parametrize(
  'content',
  [b'', b'PK\x03\x04', b'no weights', pickle.dumps(_Harmful(), 2)],
)
def test_what_holds_no_weights(tmp_path, capsys, content):
  path = tmp_path / 'weights.pth'
  path.write_bytes(content)
  with pytest.raises(UserError, match='weights.pth: holds no weights'):
    espnet.read_weights(path)
  assert capsys.readouterr().out == ''


def test_weights_of_something_else(tmp_path):
  path = tmp_path / 'weights.pth'
  with pytest.raises(UserError, match='No such file'):
    espnet.read_weights(path)
  state = espnet_network.ESPNet(20, 16, p=0, q=0).state_dict()
  wrong = (
    {},
    [],
    state | {'more': torch.zeros(1)},
    state | {'br.weight': torch.zeros(21)},
    state | {'conv.conv.weight': torch.zeros(20, 30, 3, 3)},
    {name: v for name, v in state.items() if name != 'br.bias'},
  )
  for one in wrong:
    torch.save(one, path)
    with pytest.raises(UserError, match='holds no weights of ESPNet'):
      espnet.read_weights(path)
