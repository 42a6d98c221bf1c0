"""Depth networks against `transformers` and the authors' networks.

Each reference has random parameters, is saved to a file as users have it,
and the file is read back through the converter. Everything is compared in
float32.
"""

import os

os.environ['HF_HUB_OFFLINE'] = '1'

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from segxal_jax.depth.networks import (
  convert,
  dpt,
  dpt_midas,
  midas_cnn,
  namings,
  vit,
)
from segxal_jax.depth.networks.network import DepthNetwork
from tests.models import quick
from tests.parity import comparison, depth_names
from tests.parity import depth_references as references

RELATIVE = 3e-5
WIDTH, DEPTH, HEADS, TAPS = 32, 4, 2, (0, 1, 2, 3)
CHANNELS = (8, 16, 24, 40)
DINOV2 = {
  'width': WIDTH,
  'depth': DEPTH,
  'heads': HEADS,
  'taps': TAPS,
  'grid': 4,
}


def _randomise(model):
  """Draws every parameter, so that none is a zero or one that hides a bug."""
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      noise = torch.randn(parameter.shape, generator=generator)
      if parameter.ndim > 1 and 'embed' not in name and 'token' not in name:
        noise *= (2 / np.prod(parameter.shape[1:])) ** 0.5
      elif name.endswith('bias'):
        noise = 0.2 * noise + 0.2
      elif parameter.ndim == 1:
        noise = 1 + 0.3 * noise
      parameter.copy_(noise)
  return model.eval()


def _lift(model, last, size):
  """Shifts the map so that its ReLU cuts off a tenth, not all, of it."""
  seen = []
  handle = last.register_forward_hook(lambda *call: seen.append(call[2]))
  with torch.no_grad():
    model(_nchw(_images(*size)))
    last.bias -= seen[0].quantile(0.1)
  handle.remove()


def _images(height, width):
  return comparison.noise(2, height, width, 3).astype(np.float32)


def _nchw(x):
  return comparison.nchw(x).float()


def _dinov2_config(gated=False, norm=True):
  return transformers.Dinov2Config(
    hidden_size=WIDTH,
    num_hidden_layers=DEPTH,
    num_attention_heads=HEADS,
    image_size=56,
    patch_size=14,
    use_swiglu_ffn=gated,
    out_indices=[1, 2, 3, 4],
    apply_layernorm=norm,
    reshape_hidden_states=False,
  )


def _load(network, tables, folder, index=0):
  tensors = convert.read_files(folder / 'model.safetensors')
  naming = convert.find_naming(tensors, tables, 'the file')
  assert naming is tables[index]
  return convert.convert(
    tensors, network, naming, 'the file', image_size=(224, 224)
  )


def _assert_authors_names_too(variables, network, tables, folder, names):
  """The same tensors under the authors' names are the same variables."""
  tensors = {}
  for name, value in convert.read_files(folder / 'model.safetensors').items():
    for old, new in names:
      if new is None and old in name:
        break
      name = name.replace(old, new or '')
    else:
      tensors[name] = torch.tensor(value)
  for name in [n for n in tensors if '.attention.attention.query' in n]:
    parts = [name.replace('query', part) for part in ('query', 'key', 'value')]
    fused = torch.cat([tensors.pop(part) for part in parts])
    tensors[name.replace('attention.attention.query', 'attn.qkv')] = fused
  path = folder / 'authors.pt'
  torch.save(tensors, path)
  again = _load_authors(network, tables, path)
  jax.tree.map(np.testing.assert_array_equal, again, variables)


def _apply(network, variables, images):
  """The network's output and taps, from one program."""

  @quick.jit
  def run(variables, images):
    taps = network.backbone.apply(_part(variables, 'backbone'), images)
    return network.head.apply(_part(variables, 'head'), taps), taps

  return run(variables, images)


def _part(variables, name):
  return {kind: tree.get(name, {}) for kind, tree in variables.items()}


def _assert_map(ours, theirs, what='depth'):
  """Agreement of maps that are not mostly what a ReLU cut off."""
  assert (theirs > 0).mean() > 0.5
  comparison.assert_close(ours, theirs, what, RELATIVE)


def _assert_taps(taps, theirs):
  for index, (tap, expected) in enumerate(zip(taps, theirs, strict=True)):
    b, h, w, k = tap.grid.shape
    expected = expected.detach().numpy()
    if tap.token is None:
      tokens, expected = tap.grid, np.moveaxis(expected, 1, -1)
    else:
      tokens = tap.grid.reshape(b, h * w, k)
      tokens = jnp.concatenate([tap.token[:, None], tokens], axis=1)
    comparison.assert_close(tokens, expected, f'tap {index}', RELATIVE)


@pytest.mark.parametrize('gated', [False, True])
def test_depth_anything(tmp_path, gated):
  max_depth = 20.0 if gated else None
  config = transformers.DepthAnythingConfig(
    backbone_config=_dinov2_config(gated=gated),
    reassemble_hidden_size=WIDTH,
    neck_hidden_sizes=CHANNELS,
    fusion_hidden_size=16,
    depth_estimation_type='metric' if gated else 'relative',
    max_depth=20 if gated else 1,
  )
  model = _randomise(transformers.DepthAnythingForDepthEstimation(config))
  if not gated:
    _lift(model, model.head.conv3, (56, 56))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=vit.ViT(**DINOV2, gated=gated, norm_taps=True),
    head=dpt.DPTHead(
      CHANNELS, 16, follow_skip=True, patch=14, max_value=max_depth
    ),
  )
  variables = _load(network, namings.DEPTH_ANYTHING, tmp_path)
  for size in ((42, 98),) if gated else ((56, 56), (42, 98)):
    images = _images(*size)
    with torch.no_grad():
      theirs = model(_nchw(images)).predicted_depth.numpy()
      features = model.backbone(_nchw(images)).feature_maps
    ours, taps = _apply(network, variables, images)
    assert ours.shape == (2, *size)
    _assert_map(ours, theirs, f'{size}')
    _assert_taps(taps, features)


def _dpt_config(**settings):
  return transformers.DPTConfig(
    hidden_size=WIDTH,
    num_hidden_layers=DEPTH,
    num_attention_heads=HEADS,
    intermediate_size=4 * WIDTH,
    image_size=64,
    patch_size=16,
    backbone_out_indices=list(TAPS),
    neck_hidden_sizes=CHANNELS,
    **settings,
  )


def test_dinov2_dpt(tmp_path):
  config = transformers.DPTConfig(
    backbone_config=_dinov2_config(norm=False),
    neck_hidden_sizes=CHANNELS,
    # The projection has this many channels whatever the config says.
    fusion_hidden_size=256,
    use_bias_in_fusion_residual=False,
    add_projection=True,
  )
  model = _randomise(transformers.DPTForDepthEstimation(config))
  _lift(model, model.head.head[4], (42, 70))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=vit.ViT(**DINOV2),
    head=dpt.DPTHead(
      CHANNELS, 256, readout=True, unit_bias=False, projection=True
    ),
  )
  variables = _load(network, namings.DINOV2_DPT, tmp_path)
  # An odd grid: levels of the pyramid do not fit each other.
  images = _images(42, 70)
  with torch.no_grad():
    theirs = model(_nchw(images)).predicted_depth.numpy()
    features = model.backbone(_nchw(images)).feature_maps
  ours, taps = _apply(network, variables, images)
  _assert_authors_names_too(
    variables, network, namings.DINOV2_DPT, tmp_path, depth_names.HUB
  )
  assert ours.shape == (2, 64, 96)
  _assert_map(ours, theirs)
  _assert_taps(taps, features)


def _midas_vit(**settings):
  return vit.ViT(
    width=WIDTH,
    depth=DEPTH,
    heads=HEADS,
    grid=4,
    positions='bilinear',
    scaled=False,
    **settings,
  )


def test_dpt_large(tmp_path):
  config = _dpt_config(fusion_hidden_size=16, layer_norm_eps=1e-12)
  model = _randomise(transformers.DPTForDepthEstimation(config))
  _lift(model, model.head.head[4], (64, 64))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=_midas_vit(taps=TAPS, patch=16, eps=1e-12),
    head=dpt.DPTHead(CHANNELS, 16, readout=True),
  )
  variables = _load(network, namings.DPT_LARGE, tmp_path)
  # `transformers` only takes square images here.
  images = _images(64, 64)
  with torch.no_grad():
    theirs = model(_nchw(images), output_hidden_states=True)
  ours, taps = _apply(network, variables, images)
  assert ours.shape == (2, 64, 64)
  _assert_map(ours, theirs.predicted_depth.numpy())
  _assert_taps(taps, theirs.hidden_states[1:])


def test_dpt_hybrid(tmp_path):
  stages = (32, 64, 96)
  channels = (*stages[:2], 24, 40)
  config = _dpt_config(
    fusion_hidden_size=16,
    is_hybrid=True,
    backbone_featmap_shape=[1, 96, 4, 4],
    backbone_config={
      'model_type': 'bit',
      'global_padding': 'same',
      'layer_type': 'bottleneck',
      'depths': [1, 2, 1],
      'hidden_sizes': list(stages),
      'embedding_size': 16,
      'num_groups': 4,
      'out_features': ['stage1', 'stage2', 'stage3'],
      'embedding_dynamic_padding': True,
    },
  )
  config.neck_hidden_sizes = channels
  model = _randomise(transformers.DPTForDepthEstimation(config))
  _lift(model, model.head.head[4], (64, 64))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=dpt_midas.HybridBackbone(
      vit=_midas_vit(taps=(2, 3), patch=1, eps=1e-12),
      stem=16,
      stages=stages,
      depths=(1, 2, 1),
      groups=4,
    ),
    head=dpt.DPTHead(channels, 16, readout=True, stages=2),
  )
  variables = _load(network, namings.DPT_HYBRID, tmp_path)
  images = _images(64, 64)
  with torch.no_grad():
    theirs = model(_nchw(images), output_hidden_states=True)
    early = model.dpt.embeddings(_nchw(images)).intermediate_activations
  ours, taps = _apply(network, variables, images)
  _assert_authors_names_too(
    variables, network, namings.DPT_HYBRID, tmp_path, depth_names.HYBRID
  )
  assert ours.shape == (2, 64, 64)
  depth = theirs.predicted_depth.numpy()
  _assert_map(ours, depth)
  _assert_taps(taps, [*early, *theirs.hidden_states[3:5]])


def _save(model, path):
  torch.save(model.state_dict(), path)
  return path


def _load_authors(network, tables, *paths, image_size=(224, 224)):
  tensors = convert.read_files(paths)
  naming = convert.find_naming(tensors, tables, 'the file')
  assert naming is tables[-1]
  return convert.convert(tensors, network, naming, 'the file', image_size)


def _reference_transformer(patch=14, scaled=True):
  return references.Transformer(WIDTH, DEPTH, HEADS, patch, 4, scaled)


def test_depth_anything_of_its_authors(tmp_path):
  model = references.DepthAnything(
    _reference_transformer(), WIDTH, CHANNELS, 16
  )
  last = _randomise(model).depth_head.scratch.output_conv2[2]
  _lift(model, last, (42, 98))
  path = _save(model, tmp_path / 'depth.pth')
  network = DepthNetwork(
    backbone=vit.ViT(**DINOV2, positions='bicubic_offset', norm_taps=True),
    head=dpt.DPTHead(CHANNELS, 16, follow_skip=True, patch=14),
  )
  variables = _load_authors(network, namings.DEPTH_ANYTHING, path)
  images = _images(42, 98)
  with torch.no_grad():
    theirs = model(_nchw(images)).numpy()
  ours, _ = _apply(network, variables, images)
  _assert_map(ours, theirs)


@pytest.mark.parametrize('layers', [1, 4])
def test_dinov2_linear(tmp_path, layers):
  backbone = _randomise(_reference_transformer())
  head = _randomise(references.LinearDepth(WIDTH, layers, 0.001, 80.0))
  parts = {f'decode_head.{k}': v for k, v in head.state_dict().items()}
  torch.save({'state_dict': parts}, tmp_path / 'head.pth')
  settings = {**DINOV2, 'taps': TAPS[-layers:]}
  network = DepthNetwork(
    backbone=vit.ViT(**settings, positions='bicubic_offset'),
    head=dpt.LinearHead(0.001, 80.0),
  )
  variables = _load_authors(
    network,
    namings.DINOV2_LINEAR,
    _save(backbone, tmp_path / 'backbone.pth'),
    tmp_path / 'head.pth',
  )
  images = _images(42, 70)
  with torch.no_grad():
    outputs, size = backbone(_nchw(images))
    theirs = head(outputs[-layers:], size).numpy()
  ours, taps = _apply(network, variables, images)
  assert ours.shape == (2, 12, 20)
  _assert_map(ours, theirs)
  _assert_taps(taps, outputs[-layers:])


def test_dpt_large_of_its_authors(tmp_path):
  backbone = _reference_transformer(patch=16, scaled=False)
  model = references.DPTLarge(backbone, WIDTH, CHANNELS, 16)
  _lift(model, _randomise(model).scratch.output_conv[4], (64, 96))
  path = _save(model, tmp_path / 'dpt_large.pt')
  network = DepthNetwork(
    backbone=_midas_vit(taps=TAPS, patch=16, eps=1e-6),
    head=dpt.DPTHead(CHANNELS, 16, readout=True),
  )
  variables = _load_authors(network, namings.DPT_LARGE, path)
  images = _images(64, 96)
  with torch.no_grad():
    theirs = model(_nchw(images)).numpy()
  ours, _ = _apply(network, variables, images)
  _assert_map(ours, theirs)


def test_midas_cnn(tmp_path):
  model = references.MidasCNN((1, 2, 1, 1), 16, 4, 16)
  _randomise(model)
  generator = torch.Generator().manual_seed(1)
  for name, value in model.named_buffers():
    if name.endswith(('mean', 'var')):
      value += 0.3 * torch.rand(value.shape, generator=generator)
  _lift(model, model.scratch.output_conv[4], (64, 96))
  path = _save(model, tmp_path / 'midas.pt')
  network = midas_cnn.MidasCNN((1, 2, 1, 1), 16, 4, 16)
  variables = _load_authors(network, namings.MIDAS_CNN, path)
  images = _images(64, 96)
  with torch.no_grad():
    theirs = model(_nchw(images)).numpy()
  ours = quick.jit(network.apply)(variables, images)
  _assert_map(ours, theirs)
