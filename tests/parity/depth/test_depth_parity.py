"""Depth networks against `transformers`.

Each reference has random parameters, is saved to a file as users have it,
and the file is read back through the converter. Everything is compared in
float32.
"""

import os

os.environ['HF_HUB_OFFLINE'] = '1'

import jax
import numpy as np
import pytest
import torch
import transformers

from segxal_jax.depth.networks import (
  convert,
  dpt,
  dpt_midas,
  namings,
  vit,
)
from segxal_jax.depth.networks.network import DepthNetwork
from tests.parity.depth import checks
from tests.parity.depth import names as depth_names


def _dinov2_config(gated=False, norm=True):
  return transformers.Dinov2Config(
    hidden_size=checks.WIDTH,
    num_hidden_layers=checks.DEPTH,
    num_attention_heads=checks.HEADS,
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
  again = checks.load_authors(network, tables, path)
  jax.tree.map(np.testing.assert_array_equal, again, variables)


@pytest.mark.parametrize('gated', [False, True])
def test_depth_anything(tmp_path, gated):
  max_depth = 20.0 if gated else None
  config = transformers.DepthAnythingConfig(
    backbone_config=_dinov2_config(gated=gated),
    reassemble_hidden_size=checks.WIDTH,
    neck_hidden_sizes=checks.CHANNELS,
    fusion_hidden_size=16,
    depth_estimation_type='metric' if gated else 'relative',
    max_depth=20 if gated else 1,
  )
  model = checks.randomise(transformers.DepthAnythingForDepthEstimation(config))
  if not gated:
    checks.lift(model, model.head.conv3, (56, 56))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=vit.ViT(**checks.DINOV2, gated=gated, norm_taps=True),
    head=dpt.DPTHead(
      checks.CHANNELS, 16, follow_skip=True, patch=14, max_value=max_depth
    ),
  )
  variables = _load(network, namings.DEPTH_ANYTHING, tmp_path)
  for size in ((42, 98),) if gated else ((56, 56), (42, 98)):
    images = checks.images(*size)
    with torch.no_grad():
      theirs = model(checks.nchw(images)).predicted_depth.numpy()
      features = model.backbone(checks.nchw(images)).feature_maps
    ours, taps = checks.apply(network, variables, images)
    assert ours.shape == (2, *size)
    checks.assert_map(ours, theirs, f'{size}')
    checks.assert_taps(taps, features)


def _dpt_config(**settings):
  return transformers.DPTConfig(
    hidden_size=checks.WIDTH,
    num_hidden_layers=checks.DEPTH,
    num_attention_heads=checks.HEADS,
    intermediate_size=4 * checks.WIDTH,
    image_size=64,
    patch_size=16,
    backbone_out_indices=list(checks.TAPS),
    neck_hidden_sizes=checks.CHANNELS,
    **settings,
  )


def test_dinov2_dpt(tmp_path):
  config = transformers.DPTConfig(
    backbone_config=_dinov2_config(norm=False),
    neck_hidden_sizes=checks.CHANNELS,
    # The projection has this many channels whatever the config says.
    fusion_hidden_size=256,
    use_bias_in_fusion_residual=False,
    add_projection=True,
  )
  model = checks.randomise(transformers.DPTForDepthEstimation(config))
  checks.lift(model, model.head.head[4], (42, 70))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=vit.ViT(**checks.DINOV2),
    head=dpt.DPTHead(
      checks.CHANNELS, 256, readout=True, unit_bias=False, projection=True
    ),
  )
  variables = _load(network, namings.DINOV2_DPT, tmp_path)
  # An odd grid: levels of the pyramid do not fit each other.
  images = checks.images(42, 70)
  with torch.no_grad():
    theirs = model(checks.nchw(images)).predicted_depth.numpy()
    features = model.backbone(checks.nchw(images)).feature_maps
  ours, taps = checks.apply(network, variables, images)
  _assert_authors_names_too(
    variables, network, namings.DINOV2_DPT, tmp_path, depth_names.HUB
  )
  assert ours.shape == (2, 64, 96)
  checks.assert_map(ours, theirs)
  checks.assert_taps(taps, features)


def test_dpt_large(tmp_path):
  config = _dpt_config(fusion_hidden_size=16, layer_norm_eps=1e-12)
  model = checks.randomise(transformers.DPTForDepthEstimation(config))
  checks.lift(model, model.head.head[4], (64, 64))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=checks.midas_vit(taps=checks.TAPS, patch=16, eps=1e-12),
    head=dpt.DPTHead(checks.CHANNELS, 16, readout=True),
  )
  variables = _load(network, namings.DPT_LARGE, tmp_path)
  # `transformers` only takes square images here.
  images = checks.images(64, 64)
  with torch.no_grad():
    theirs = model(checks.nchw(images), output_hidden_states=True)
  ours, taps = checks.apply(network, variables, images)
  assert ours.shape == (2, 64, 64)
  checks.assert_map(ours, theirs.predicted_depth.numpy())
  checks.assert_taps(taps, theirs.hidden_states[1:])


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
  model = checks.randomise(transformers.DPTForDepthEstimation(config))
  checks.lift(model, model.head.head[4], (64, 64))
  model.save_pretrained(tmp_path)
  network = DepthNetwork(
    backbone=dpt_midas.HybridBackbone(
      vit=checks.midas_vit(taps=(2, 3), patch=1, eps=1e-12),
      stem=16,
      stages=stages,
      depths=(1, 2, 1),
      groups=4,
    ),
    head=dpt.DPTHead(channels, 16, readout=True, stages=2),
  )
  variables = _load(network, namings.DPT_HYBRID, tmp_path)
  images = checks.images(64, 64)
  with torch.no_grad():
    theirs = model(checks.nchw(images), output_hidden_states=True)
    early = model.dpt.embeddings(checks.nchw(images)).intermediate_activations
  ours, taps = checks.apply(network, variables, images)
  _assert_authors_names_too(
    variables, network, namings.DPT_HYBRID, tmp_path, depth_names.HYBRID
  )
  assert ours.shape == (2, 64, 64)
  depth = theirs.predicted_depth.numpy()
  checks.assert_map(ours, depth)
  checks.assert_taps(taps, [*early, *theirs.hidden_states[3:5]])
