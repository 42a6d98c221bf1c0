import functools
import math

import cv2
import flax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.models.layers import initializers
from segxal_jax import depth as providers
from segxal_jax.depth import dinov2 as dinov2_provider
from segxal_jax.depth import estimator
from segxal_jax.depth import midas as midas_provider
from segxal_jax.depth.networks import (
  convert,
  depth_anything,
  dinov2,
  dpt,
  dpt_midas,
  midas_cnn,
  namings,
  preprocessing,
  resampling,
  vit,
)
from segxal_jax.depth.networks.network import DepthNetwork
from tests.fsnet_jax.models import quick

pytestmark = pytest.mark.slow

TINY_VIT = {'width': 8, 'depth': 4, 'heads': 2, 'taps': (0, 1, 2, 3), 'grid': 2}


def _values(*shape):
  return np.random.default_rng(0).random(shape).astype(np.float32)


SCENE = {'image': (255 * _values(20, 31, 3)).astype(np.uint8)}


@pytest.mark.parametrize('size', [(9, 31), (23, 10)])
@pytest.mark.parametrize(
  ('rule', 'theirs'),
  [('bicubic', cv2.INTER_CUBIC), ('bilinear', cv2.INTER_LINEAR)],
)
def test_resizing_is_that_of_opencv(size, rule, theirs):
  image = _values(14, 17, 3)
  ours = resampling.resize(jnp.asarray(image[None]), size, rule)[0]
  expected = cv2.resize(image, size[::-1], interpolation=theirs)
  np.testing.assert_allclose(ours, expected, atol=2e-6)


def test_aligned_corners_keep_the_ends():
  x = jnp.asarray([0.0, 6.0, 3.0]).reshape(1, 3, 1, 1)
  y = resampling.resize(x, (5, 1), 'bilinear_aligned')
  np.testing.assert_allclose(y.ravel(), [0, 3, 6, 4.5, 3], atol=1e-6)


def test_weights_sum_to_one():
  for rule in resampling.RULES:
    pairs = resampling.neighbours(37, 18, rule, 0.1)
    np.testing.assert_allclose(sum(weight for _, weight in pairs), 1.0)
  with pytest.raises(ValueError, match='lanczos'):
    resampling.neighbours(4, 4, 'lanczos')


@pytest.mark.parametrize(
  ('side', 'multiple', 'bound', 'image', 'expected'),
  [
    (518, 14, 'lower', (1024, 2048), (518, 1036)),
    (384, 32, 'minimal', (1024, 2048), (384, 768)),
    (384, 32, 'upper', (1024, 2048), (192, 384)),
    (384, 32, 'upper', (720, 960), (288, 384)),
    (384, 32, 'minimal', (375, 1242), (384, 1280)),
    (None, 14, 'lower', (256, 512), (252, 518)),
    (None, 14, 'lower', (5, 30), (14, 28)),
  ],
)
def test_sizes_of_inputs(side, multiple, bound, image, expected):
  mean = preprocessing.IMAGENET_MEAN
  rule = preprocessing.Preprocessing(side, multiple, bound, mean, mean)
  assert rule.size(*image) == expected


def test_images_are_normalised():
  rule = preprocessing.Preprocessing(
    2, 2, 'lower', preprocessing.HALF, preprocessing.HALF
  )
  images = jnp.asarray([0.0, 255.0]).reshape(1, 2, 1, 1) * jnp.ones(
    (1, 2, 2, 3)
  )
  np.testing.assert_allclose(rule(images)[0, :, 0, 0], [-1, 1])


@functools.cache
def _shapes(network):
  image = jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32)
  shapes = jax.eval_shape(network.init, jax.random.key(0), image)
  return flax.traverse_util.flatten_dict(shapes)


# Of the published files: tensors, among them those that no depth needs, and
# parameters in millions.
@pytest.mark.parametrize(
  ('network', 'tables', 'tensors', 'unused', 'millions'),
  [
    (
      depth_anything.depth_anything(),
      namings.DEPTH_ANYTHING,
      (287, 239),
      (5, 5),
      24.785 - 0.074,
    ),
    (dinov2.dinov2_dpt(), namings.DINOV2_DPT, (281,), (5,), 36.02),
    (dpt_midas.dpt_large(), namings.DPT_LARGE, (462,), (6,), 343.03 - 1.182),
    (dpt_midas.dpt_hybrid(), namings.DPT_HYBRID, (414,), (6,), 122.38 - 1.182),
  ],
)
def test_names_and_sizes_of_published_files(
  network, tables, tensors, unused, millions
):
  shapes = _shapes(network)
  for naming, total, left in zip(tables, tensors, unused):
    names = [n for path in shapes for n in naming.names(path[1:])]
    assert len(set(names)) == len(names) == total - left
    assert naming.marker in names
  count = sum(math.prod(shape.shape) for shape in shapes.values())
  assert count / 1e6 == pytest.approx(millions, abs=0.006)


def test_linear_heads_have_their_published_size():
  for layers, expected in ((1, 196_864), (4, 786_688)):
    shapes = _shapes(dinov2.dinov2_linear(layers=layers))
    head = {p: s for p, s in shapes.items() if p[1] == 'head'}
    count = sum(math.prod(shape.shape) for shape in head.values())
    assert count == expected
  with pytest.raises(ValueError, match='1 or 4'):
    dinov2.dinov2_linear(layers=2)


def _tiny(dtype=jnp.float32):
  return DepthNetwork(
    backbone=vit.ViT(**TINY_VIT, norm_taps=True, dtype=dtype),
    head=dpt.DPTHead((8, 8, 8, 8), 8, follow_skip=True, patch=14, dtype=dtype),
  )


def _variables(network, size=(28, 28)):
  image = jax.ShapeDtypeStruct((1, *size, 3), jnp.float32)
  return initializers.host_init(network, 0, image)


def _short(dtype):
  return DepthNetwork(
    backbone=vit.ViT(8, 1, 2, (0,), grid=2, dtype=dtype),
    head=dpt.LinearHead(dtype=dtype),
  )


def test_half_precision_is_near_single():
  variables = _variables(_short(jnp.float32))
  images = _values(1, 14, 28, 3)
  ours = quick.jit(_short(jnp.bfloat16).apply)(variables, images)
  assert ours.dtype == jnp.float32
  expected = quick.jit(_short(jnp.float32).apply)(variables, images)
  np.testing.assert_allclose(ours, expected, rtol=0.02)


def test_half_precision_ends_in_single():
  network = _tiny(jnp.bfloat16)
  image = jax.ShapeDtypeStruct((1, 28, 28, 3), jnp.float32)
  output = jax.eval_shape(network.apply, _variables(network), image)
  assert output.dtype == jnp.float32


def _file_tensors(network, naming):
  """Random tensors as a file of the authors would hold them."""
  rng = np.random.default_rng(1)
  tensors = {}
  for path, shape in _shapes(network).items():
    (name,) = naming.names(path[1:])
    axes = convert._AXES.get((path[-1], len(shape.shape)))
    value = 0.05 * rng.standard_normal(shape.shape, dtype=np.float32)
    tensors[name] = value.transpose(np.argsort(axes)) if axes else value
  return tensors


NAMING = namings.DEPTH_ANYTHING[1]


def test_a_file_becomes_variables_and_back():
  network = _tiny()
  tensors = _file_tensors(network, NAMING)
  tensors['pretrained.mask_token'] = np.zeros((1, 8), np.float32)
  found = convert.find_naming(tensors, namings.DEPTH_ANYTHING, 'F')
  variables = convert.convert(tensors, network, found, 'F', (28, 28))
  params = variables['params']
  np.testing.assert_array_equal(
    params['backbone']['blocks_3']['attn']['qkv']['kernel'],
    tensors['pretrained.blocks.3.attn.qkv.weight'].T,
  )
  np.testing.assert_array_equal(
    params['head']['reduce_2']['kernel'][1, 2, 3, 4],
    tensors['depth_head.scratch.layer2_rn.weight'][4, 3, 1, 2],
  )
  np.testing.assert_array_equal(
    params['head']['resize_1']['kernel_up'][1, 2, 3, 4],
    tensors['depth_head.resize_layers.0.weight'][3, 4, 1, 2],
  )


def _without_one(tensors):
  del tensors['pretrained.blocks.2.ls1.gamma']


def _with_one_more(tensors):
  tensors['depth_head.auxiliary.weight'] = np.zeros(1, np.float32)


def _of_another_width(tensors):
  name = 'depth_head.scratch.output_conv1.bias'
  tensors[name] = tensors[name][:-1]


def _with_nan(tensors):
  tensors['pretrained.cls_token'][0, 0, 3] = np.nan


def _with_integers(tensors):
  name = 'pretrained.blocks.1.mlp.fc1.weight'
  tensors[name] = tensors[name].astype(np.int8)


def _of_twice_the_depth(tensors):
  for name in [n for n in tensors if '.blocks.' in n]:
    block = int(name.split('.')[2])
    deeper = name.replace(f'.{block}.', f'.{block + 4}.', 1)
    tensors[deeper] = tensors[name]


def _of_half_the_depth(tensors):
  for name in [n for n in tensors if 'blocks.2' in n or 'blocks.3' in n]:
    del tensors[name]


@pytest.mark.parametrize(
  ('spoil', 'words'),
  [
    (_with_integers, 'fc1.weight of F has type int8'),
    (_of_twice_the_depth, 'it has 8 pretrained.blocks where .* has 4'),
    (_of_half_the_depth, 'it has 2 pretrained.blocks where .* has 4'),
    (_without_one, r"F .*1 tensors are missing \['pretrained.blocks.2.ls1"),
    (_with_one_more, r"1 are unknown \['depth_head.auxiliary.weight'\]"),
    (_of_another_width, r'output_conv1.bias.*\(3,\).*\(4,\)'),
    (_with_nan, 'pretrained.cls_token holds values that are not finite'),
  ],
)
def test_mistakes_in_a_file(spoil, words):
  network = _tiny()
  tensors = _file_tensors(network, NAMING)
  spoil(tensors)
  with pytest.raises(UserError, match=words):
    convert.convert(tensors, network, NAMING, 'F', (28, 28))


def test_what_stands_before_the_names_is_dropped(tmp_path):
  backbone = {'cls_token': np.zeros((1, 1, 8), np.float32)}
  backbone['blocks.0.norm1.weight'] = np.ones(8, np.float32)
  head = {'decode_head.conv_depth.weight': np.ones((256, 16, 1, 1))}
  whole = {'pretrained.pos_embed': np.zeros((1, 5, 8), np.float32)}
  whole['depth_head.scratch.layer1_rn.weight'] = np.ones(3, np.float32)
  path = tmp_path / 'a.npz'
  for tensors in (backbone, head, whole):
    for prefix in ('', 'module.', 'model._orig_mod.', 'a.encoder.b.'):
      np.savez(path, **{prefix + name: v for name, v in tensors.items()})
      found = convert.read_files(path, namings.ANCHORS)
      assert found.keys() == tensors.keys()
  # What else is in the file keeps its name, to be named as unknown.
  np.savez(path, **{f'model.{n}': v for n, v in whole.items()}, loss=[1.0])
  assert set(convert.read_files(path, namings.ANCHORS)) == {*whole, 'loss'}


def test_two_files_must_not_hold_the_same_tensor(tmp_path):
  for name in ('a.npz', 'b.npz'):
    np.savez(tmp_path / name, bias=np.zeros(2, np.float32))
  with pytest.raises(UserError, match=r'b\.npz holds bias as an earlier'):
    convert.read_files([tmp_path / 'a.npz', tmp_path / 'b.npz'])


def _options(provider, **settings):
  return ConfigDict({'provider': provider, **settings})


@pytest.mark.parametrize('provider', ['depth_anything', 'dinov2', 'midas'])
def test_mistakes_of_options(provider, tmp_path):
  with pytest.raises(UserError, match='config.depth.weights'):
    providers.create(_options(provider))
  path = tmp_path / 'other.npz'
  np.savez(path, bias=np.zeros(2, np.float32))
  with pytest.raises(UserError, match=r'other\.npz is of another network'):
    providers.create(_options(provider, weights=str(path)))
  with pytest.raises(UserError, match='config.depth.side is 3'):
    providers.create(_options(provider, weights=str(path), side=3))


def test_a_head_needs_its_backbone(tmp_path):
  path = tmp_path / 'head.npz'
  weight = np.zeros((256, 768, 1, 1), np.float32)
  np.savez(path, **{'decode_head.conv_depth.weight': weight})
  with pytest.raises(UserError, match='cls_token, the backbone'):
    providers.create(_options('dinov2', weights=str(path)))
  other = tmp_path / 'backbone.npz'
  for width, words in ((100, '100 channels'), (768, 'does not fit together')):
    np.savez(other, cls_token=np.zeros((1, 1, width), np.float32))
    with pytest.raises(UserError, match=words):
      providers.create(_options('dinov2', weights=f'{path}, {other}'))


def test_depth_anything_small_from_its_file(tmp_path):
  path = tmp_path / 'depth_anything_v2_vits.npz'
  tensors = _file_tensors(depth_anything.depth_anything(), NAMING)
  tensors['depth_head.scratch.output_conv2.2.bias'] += 1
  np.savez(path, **tensors)
  options = _options('depth_anything', weights=str(path), side=28)
  provider = providers.create(options)
  assert provider.inverse and not provider.needs_dataset_depth
  assert providers.create(options) is provider
  depth = provider(SCENE)
  assert depth.shape == (20, 31) and depth.dtype == np.float32
  assert np.isfinite(depth).all() and depth.min() >= 0 and np.ptp(depth) > 0
  metric = providers.create(
    _options('depth_anything', weights=str(path), side=28, max_depth=80)
  )
  assert not metric.inverse
  assert metric.fingerprint != provider.fingerprint


def test_dinov2_from_its_files(tmp_path, monkeypatch):
  small = dinov2.Size(8, 4, 2, (0, 1, 2, 3))
  monkeypatch.setitem(dinov2.SIZES, 'small', small)
  monkeypatch.setattr(dinov2_provider, '_WIDTHS', {8: 'small'})
  for network, (*_, naming), title in (
    (dinov2.dinov2_dpt(), namings.DINOV2_DPT, 'DPT'),
    (dinov2.dinov2_linear(layers=1), namings.DINOV2_LINEAR, 'linear'),
  ):
    tensors = _file_tensors(network, naming)
    head = {n: v for n, v in tensors.items() if n.startswith('decode_head')}
    np.savez(tmp_path / 'head.npz', **head)
    rest = {n: v for n, v in tensors.items() if n not in head}
    np.savez(tmp_path / 'backbone.npz', **rest)
    files = [str(tmp_path / name) for name in ('backbone.npz', 'head.npz')]
    provider = providers.create(_options('dinov2', weights=tuple(files)))
    assert not provider.inverse
    assert provider.title == f'DINOv2 with its {title} depth head'
  depth = provider(SCENE)
  assert depth.shape == (20, 31)
  assert depth.min() > 0.001 and depth.max() < 80


def test_midas_from_its_file(tmp_path, monkeypatch):
  build = functools.partial(midas_cnn.MidasCNN, (1, 1, 1, 1), 8, 2, 8)
  networks = ((namings.MIDAS_CNN, build),)
  monkeypatch.setattr(midas_provider, '_NETWORKS', networks)
  tensors = _file_tensors(build(), namings.MIDAS_CNN[0])
  for name in tensors:
    if name.endswith('running_var'):
      tensors[name] = np.ones_like(tensors[name])
  tensors['scratch.output_conv.4.bias'] += 1
  path = tmp_path / 'midas_v21_384.npz'
  np.savez(path, **tensors)
  provider = providers.create(_options('midas', weights=str(path), side=64))
  assert provider.inverse and provider.title == 'MiDaS v2.1'
  depth = provider(SCENE)
  assert depth.shape == (20, 31) and np.isfinite(depth).all()
  assert np.ptp(depth) > 0


def test_fingerprints_know_contents_not_names(tmp_path):
  paths = [str(tmp_path / name) for name in ('a', 'b', 'c')]
  for path, content in zip(paths, (b'1', b'1', b'2')):
    with open(path, 'wb') as file:
      file.write(content)
  prints = [estimator.fingerprint([path], 'x') for path in paths]
  assert prints[0] == prints[1] != prints[2]
  assert estimator.fingerprint(paths[:1], 'y') != prints[0]
