"""Networks from elsewhere against PyTorch, which exported them."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from input_pipeline import external
from input_pipeline.external import check
from input_pipeline.external.check.report import LabelledImage
from input_pipeline.external.description import InputFormat
from input_pipeline.external.preprocessing import prepare
from input_pipeline.external.resizing import resize
from tests.input_pipeline.external.tables import noise, scores, table

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def _interpolated(arrays, size, antialias=False):
  tensor = torch.from_numpy(np.float32(arrays)).permute(0, 3, 1, 2)
  tensor = F.interpolate(
    tensor, size, mode='bilinear', align_corners=False, antialias=antialias
  )
  return tensor.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize('antialias', [False, True])
@pytest.mark.parametrize(
  ('old', 'new'),
  [
    ((8, 12), (32, 48)),
    ((8, 12), (17, 5)),
    ((90, 120), (360, 480)),
    ((64, 128), (16, 32)),
    ((37, 53), (36, 54)),
    ((37, 53), (9, 11)),
    ((5, 7), (1, 1)),
    ((1, 1), (4, 3)),
    ((2, 3), (2, 9)),
  ],
)
def test_resizing_is_that_of_pytorch(old, new, antialias):
  arrays = scores(2, *old, 3)
  found = resize(arrays, new, antialias=antialias)
  wanted = _interpolated(arrays, new, antialias)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('size', [None, (24, 20), (7, 9)])
@pytest.mark.parametrize('color', ['RGB', 'BGR'])
def test_images_are_prepared_as_torchvision_does_it(size, color):
  images = noise(2, 16, 20)
  tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
  if size is not None:
    tensor = F.interpolate(
      tensor, size, mode='bilinear', align_corners=False, antialias=True
    )
  if color == 'BGR':
    tensor = tensor.flip(1)
  mean, std = (torch.tensor(v)[:, None, None] for v in (_MEAN, _STD))
  wanted = ((tensor - mean) / std).numpy()
  how = InputFormat('', color, 255.0, _MEAN, _STD, size)
  found = prepare(images, how, channels_first=True)
  np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


class _Small(torch.nn.Module):
  """Two strides, an upsampling, and two outputs."""

  def __init__(self):
    super().__init__()
    self.first = torch.nn.Conv2d(3, 8, 3, 2, 1)
    self.second = torch.nn.Conv2d(8, 12, 3, 2, 1)
    self.last = torch.nn.Conv2d(12, 5, 1)

  def forward(self, x):
    features = F.relu(self.second(F.relu(self.first(x))))
    logits = F.interpolate(
      self.last(features), x.shape[2:], mode='bilinear', align_corners=False
    )
    return logits, features


def _exported(network, path, names, **options):
  torch.onnx.export(
    network.eval(),
    (torch.rand(2, 3, 32, 64),),
    path,
    output_names=names,
    dynamo=True,
    external_data=False,
    verbose=False,
    **options,
  )
  described = {
    'input': {'color': 'RGB', 'scale': 255, 'mean': _MEAN, 'std': _STD},
    'outputs': {'logits': names[0], 'features': names[1]},
  }
  path.with_name('model.json').write_text(json.dumps(described))
  return path


def _normalized(images):
  tensor = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
  mean, std = (torch.tensor(v)[:, None, None] for v in (_MEAN, _STD))
  return (tensor - mean) / std


@pytest.mark.filterwarnings('ignore')
def test_onnx_and_function_and_pytorch_agree(tmp_path):
  torch.manual_seed(0)
  network = _Small()
  sizes = {
    0: torch.export.Dim('b'),
    2: torch.export.Dim('h'),
    3: torch.export.Dim('w'),
  }
  path = _exported(
    network, tmp_path / 'net.onnx', ['a', 'f'], dynamic_shapes=({**sizes},)
  )
  opened = external.open_network('onnx', str(path), table(5), threads=1)
  images = noise(3, 24, 40)
  with torch.no_grad():
    logits, features = network(_normalized(images))
  found = opened(images)
  for one, other in ((found.logits, logits), (found.features, features)):
    wanted = other.permute(0, 2, 3, 1).numpy()
    np.testing.assert_allclose(one, wanted, rtol=1e-4, atol=1e-5)
  assert opened.feature_channels == 12
  assert opened.feature_size((24, 40)) == (6, 10)

  torch.save(network.state_dict(), tmp_path / 'net.pt')
  module = tmp_path / 'function_of_parity.py'
  module.write_text(
    'import pathlib, torch\n'
    'from tests.parity import test_external_parity as parity\n'
    'DEPENDS_ON = "net.pt"\n'
    'network = parity._Small()\n'
    'path = pathlib.Path(__file__).with_name(DEPENDS_ON)\n'
    'network.load_state_dict(torch.load(path))\n'
    'def segment(images):\n'
    '  return network(parity._normalized(images))\n'
  )
  function = external.open_network(
    'python', f'{module}:segment', table(5), image_size=(24, 40)
  )
  again = function(images)
  np.testing.assert_allclose(again.logits, found.logits, rtol=1e-4, atol=1e-5)
  np.testing.assert_allclose(
    again.features, found.features, rtol=1e-4, atol=1e-5
  )
  assert len(function.fingerprint()) == 64


@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
def test_a_segformer_through_onnx_to_the_check(tmp_path):
  from transformers import (
    SegformerConfig,
    SegformerForSemanticSegmentation,
  )

  torch.manual_seed(0)
  config = SegformerConfig(
    num_labels=5,
    depths=[1, 1, 1, 1],
    hidden_sizes=[8, 16, 24, 32],
    num_attention_heads=[1, 2, 3, 4],
    decoder_hidden_size=16,
    attn_implementation='eager',
  )
  model = SegformerForSemanticSegmentation(config).eval()
  # Of random weights one class would win everywhere.
  with torch.no_grad():
    model.decode_head.classifier.weight.mul_(400)

  class Exported(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.model = model

    def forward(self, x):
      found = self.model(x, output_hidden_states=True)
      return found.logits, found.hidden_states[-1]

  path = _exported(Exported(), tmp_path / 'net.onnx', ['logits', 'last'])
  network = external.open_network('onnx', str(path), table(5), threads=1)
  images = noise(3, 8, 16)
  images = np.repeat(np.repeat(images, 4, 1), 4, 2)
  with torch.no_grad():
    wanted = model(_normalized(images)).logits
  assert wanted.shape[2:] == (8, 16)
  wanted = _interpolated(wanted.permute(0, 2, 3, 1), (32, 64))
  found = network(images)
  np.testing.assert_allclose(found.logits, wanted, rtol=1e-3, atol=1e-3)
  assert (
    found.features.shape == (3, 1, 2, 32) and network.feature_channels == 32
  )
  scenes = [
    LabelledImage(f'{i}', image, logits.argmax(-1).astype(np.uint8))
    for i, (image, logits) in enumerate(zip(images, wanted, strict=True))
  ]
  report = check.run(network, scenes)
  assert report.pixel_accuracy > 0.999 and report.better_input is None
  path.with_name('model.json').write_text(
    json.dumps(
      {
        'input': {'color': 'BGR', 'scale': 255, 'mean': _MEAN, 'std': _STD},
        'outputs': {'logits': 'logits'},
      }
    )
  )
  network = external.open_network('onnx', str(path), table(5), threads=1)
  report = check.run(network, scenes)
  assert report.pixel_accuracy < 0.95
  better = report.better_input
  assert better is not None and better.after > 0.999
  assert '"color": "RGB"' in better.fix
