"""A network from elsewhere: SegFormer of `transformers`, through ONNX.

Xie et al., "SegFormer", NeurIPS 2021: logits at a quarter of the image's size.
Random weights, as everywhere here.
"""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn import functional
from transformers import SegformerConfig, SegformerForSemanticSegmentation

from examples import model_files

SIZE = (64, 96)
_FORM = model_files.InputFormat(
  'RGB', 255.0, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
)


class _FullSize(nn.Module):
  """Logits of the image's size, and the last hidden state."""

  def __init__(self, network):
    super().__init__()
    self.network = network

  def forward(self, images):
    """[b 3 h w] to logits [b 5 h w] and features [b 24 h/32 w/32]."""
    found = self.network(pixel_values=images, output_hidden_states=True)
    logits = functional.interpolate(
      found.logits, size=SIZE, mode='bilinear', align_corners=False
    )
    return logits, found.hidden_states[-1]


@pytest.fixture(scope='module')
def exported(tmp_path_factory):
  """The network in PyTorch, and its ONNX file with `model.json`."""
  torch.manual_seed(0)
  config = SegformerConfig(
    depths=[1, 1, 1, 1],
    hidden_sizes=[8, 8, 16, 24],
    num_attention_heads=[1, 1, 2, 3],
    decoder_hidden_size=16,
    num_labels=5,
    # The default's logits hardly differ from one another.
    initializer_range=0.3,
  )
  network = _FullSize(SegformerForSemanticSegmentation(config)).eval()
  path = tmp_path_factory.mktemp('segformer') / 'model.onnx'
  model_files.export(network, path, _FORM, ('logits', 'features'), SIZE)
  return network, path


@pytest.mark.parametrize('batch', [1, 3])
def test_onnxruntime_computes_the_same(exported, batch):
  network, path = exported
  random = np.random.default_rng(1)
  images = _FORM.apply(random.integers(0, 256, (batch, *SIZE, 3), np.uint8))
  session = onnxruntime.InferenceSession(path)
  found = session.run(['logits', 'features'], {'images': images})
  with torch.no_grad():
    expected = [one.numpy() for one in network(torch.from_numpy(images))]
  assert found[0].shape == (batch, 5, *SIZE)
  assert found[1].shape == (batch, 24, 2, 3)
  for one, other in zip(found, expected):
    assert np.ptp(other) > 0.01
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_description(exported):
  _, path = exported
  description = json.loads(path.with_name('model.json').read_text())
  assert description['input']['size'] == list(SIZE)
  assert description['outputs'] == {'logits': 'logits', 'features': 'features'}
