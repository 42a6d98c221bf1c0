"""Depth networks against the authors' own, re-stated in PyTorch.

Each reference has random parameters, is saved to a file as users have it,
and the file is read back through the converter. Everything is compared in
float32.
"""

import pytest
import torch

from segxal_jax.depth.networks import dpt, midas_cnn, namings, vit
from segxal_jax.depth.networks.network import DepthNetwork
from tests.fsnet_jax.models import quick
from tests.parity.depth import checks, references


def _save(model, path):
  torch.save(model.state_dict(), path)
  return path


def _reference_transformer(patch=14, scaled=True):
  return references.Transformer(
    checks.WIDTH, checks.DEPTH, checks.HEADS, patch, 4, scaled
  )


def test_depth_anything_of_its_authors(tmp_path):
  model = references.DepthAnything(
    _reference_transformer(), checks.WIDTH, checks.CHANNELS, 16
  )
  last = checks.randomise(model).depth_head.scratch.output_conv2[2]
  checks.lift(model, last, (42, 98))
  path = _save(model, tmp_path / 'depth.pth')
  network = DepthNetwork(
    backbone=vit.ViT(
      **checks.DINOV2, positions='bicubic_offset', norm_taps=True
    ),
    head=dpt.DPTHead(checks.CHANNELS, 16, follow_skip=True, patch=14),
  )
  variables = checks.load_authors(network, namings.DEPTH_ANYTHING, path)
  images = checks.images(42, 98)
  with torch.no_grad():
    theirs = model(checks.nchw(images)).numpy()
  ours, _ = checks.apply(network, variables, images)
  checks.assert_map(ours, theirs)


@pytest.mark.parametrize('layers', [1, 4])
def test_dinov2_linear(tmp_path, layers):
  backbone = checks.randomise(_reference_transformer())
  head = checks.randomise(
    references.LinearDepth(checks.WIDTH, layers, 0.001, 80.0)
  )
  parts = {f'decode_head.{k}': v for k, v in head.state_dict().items()}
  torch.save({'state_dict': parts}, tmp_path / 'head.pth')
  settings = {**checks.DINOV2, 'taps': checks.TAPS[-layers:]}
  network = DepthNetwork(
    backbone=vit.ViT(**settings, positions='bicubic_offset'),
    head=dpt.LinearHead(0.001, 80.0),
  )
  variables = checks.load_authors(
    network,
    namings.DINOV2_LINEAR,
    _save(backbone, tmp_path / 'backbone.pth'),
    tmp_path / 'head.pth',
  )
  images = checks.images(42, 70)
  with torch.no_grad():
    outputs, size = backbone(checks.nchw(images))
    theirs = head(outputs[-layers:], size).numpy()
  ours, taps = checks.apply(network, variables, images)
  assert ours.shape == (2, 12, 20)
  checks.assert_map(ours, theirs)
  checks.assert_taps(taps, outputs[-layers:])


def test_dpt_large_of_its_authors(tmp_path):
  backbone = _reference_transformer(patch=16, scaled=False)
  model = references.DPTLarge(backbone, checks.WIDTH, checks.CHANNELS, 16)
  checks.lift(model, checks.randomise(model).scratch.output_conv[4], (64, 96))
  path = _save(model, tmp_path / 'dpt_large.pt')
  network = DepthNetwork(
    backbone=checks.midas_vit(taps=checks.TAPS, patch=16, eps=1e-6),
    head=dpt.DPTHead(checks.CHANNELS, 16, readout=True),
  )
  variables = checks.load_authors(network, namings.DPT_LARGE, path)
  images = checks.images(64, 96)
  with torch.no_grad():
    theirs = model(checks.nchw(images)).numpy()
  ours, _ = checks.apply(network, variables, images)
  checks.assert_map(ours, theirs)


def test_midas_cnn(tmp_path):
  model = references.MidasCNN((1, 2, 1, 1), 16, 4, 16)
  checks.randomise(model)
  generator = torch.Generator().manual_seed(1)
  for name, value in model.named_buffers():
    if name.endswith(('mean', 'var')):
      value += 0.3 * torch.rand(value.shape, generator=generator)
  checks.lift(model, model.scratch.output_conv[4], (64, 96))
  path = _save(model, tmp_path / 'midas.pt')
  network = midas_cnn.MidasCNN((1, 2, 1, 1), 16, 4, 16)
  variables = checks.load_authors(network, namings.MIDAS_CNN, path)
  images = checks.images(64, 96)
  with torch.no_grad():
    theirs = model(checks.nchw(images)).numpy()
  ours = quick.jit(network.apply)(variables, images)
  checks.assert_map(ours, theirs)
