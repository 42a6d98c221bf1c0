"""Every shipped config loads, is consistent, and states its names right."""

import copy
import importlib

import jax.numpy as jnp
import pytest

from common_lib.errors import UserError
from fsnet_jax.builders import networks, optimization
from fsnet_jax.config import validation
from fsnet_jax.models.segmentation import (
  deeplab_v2,
  efficientnet_unet,
  fcn8,
  unet,
)
from input_pipeline import transforms

SHIPPED = [
  ('fsnet_fcn8', 'streets'),
  ('fsnet_fcn8', 'camvid'),
  ('fsnet_fcn8', 'cityscapes'),
  ('fsnet_deeplabv2', 'streets'),
  ('fsnet_deeplabv2', 'camvid'),
  ('fsnet_deeplabv2', 'cityscapes'),
  ('fsnet_efficientnet', 'streets'),
  ('fsnet_efficientnet', 'camvid'),
  ('fsnet_efficientnet', 'cityscapes'),
  *(
    (name, argument)
    for name in ('compare_fcn8', 'compare_deeplabv2')
    for argument in ('streets', 'camvid', 'camvid_full', 'cityscapes')
  ),
]


def _config(name, argument):
  return importlib.import_module(f'configs.{name}').get_config(argument)


@pytest.mark.parametrize(('name', 'argument'), SHIPPED)
def test_shipped_config_passes_its_own_check(name, argument):
  config = _config(name, argument)
  validation.check(config)
  model = networks.model(config)
  assert model.segmentation.num_classes == 19
  optimization.optimizer(config)
  optimization.loss_options(config)
  transforms.resolve(config.data.augment)


def test_cityscapes_is_the_papers_protocol():
  config = _config('fsnet_fcn8', 'cityscapes')
  assert tuple(config.image_size) == (256, 512)
  assert (config.phase1_steps, config.phase2_steps) == (20_000, 10_000)
  assert (config.batch_size, config.width) == (8, 1.0)
  assert config.segmentation.padding == 'pad99'
  assert config.optimizer.learning_rate == 2e-4
  assert config.optimizer.momentum == 0.99
  assert config.optimizer.weight_decay == 5e-4
  assert config.optimizer.failure_learning_rate == 2e-4


def test_cityscapes_is_synthcps_protocol_for_deeplab():
  config = _config('fsnet_deeplabv2', 'cityscapes')
  other = _config('fsnet_fcn8', 'cityscapes')
  for field in ('image_size', 'batch_size', 'phase1_steps', 'phase2_steps'):
    assert config[field] == other[field]
  assert config.segmentation.head == 'synthcp'
  assert config.segmentation.features == 'layer4'
  assert config.segmentation.frozen_bn
  assert config.segmentation.dropout_rate == 0
  # The checkpoints of TCP that SynthCP's scripts evaluate.
  assert (other.fit.tcp.steps, config.fit.tcp.steps) == (40_000, 30_000)
  assert _config('compare_deeplabv2', 'cityscapes').fit.tcp.steps == 30_000
  rates = [
    optimization.learning_rates(config, step, 1)['learning_rate_segmentation']
    for step in (0, 20_000, 30_000)
  ]
  assert rates == pytest.approx([2e-4, 1.855e-4, 1.783e-4], rel=1e-3)


@pytest.mark.parametrize(
  ('name', 'features', 'kind'),
  [
    ('fcn8', 'fc7', fcn8.FCN8),
    ('deeplab_v2', 'aspp', deeplab_v2.DeepLabV2),
    ('unet', 'bottleneck', unet.UNet),
    ('efficientnet_unet', 'bottleneck', efficientnet_unet.EfficientNetUNet),
  ],
)
def test_each_network_can_be_chosen_with_its_precision(name, features, kind):
  config = _config('fsnet_fcn8', 'streets')
  config.segmentation.name = name
  config.segmentation.features = features
  config.compute_dtype = 'bfloat16'
  config.remat = True
  validation.check(config)
  model = networks.model(config)
  assert isinstance(model.segmentation, kind)
  for network in (model.segmentation, model.failure):
    assert network.dtype == jnp.bfloat16
    assert network.remat
    assert network.width == config.width
  config.segmentation.features = 'pool4'
  with pytest.raises(UserError, match=f'pool4.*{name}.*{features}'):
    validation.check(config)


def test_a_trained_encoder_takes_smaller_steps_to_the_end_of_the_run():
  for argument in ('streets', 'camvid', 'cityscapes'):
    config = _config('fsnet_efficientnet', argument)
    last = config.phase1_steps + config.phase2_steps
    assert config.init.backbone == 'imagenet'
    learning, final = (
      optimization.learning_rates(config, step, 2)['learning_rate_segmentation']
      for step in (last // 2, last)
    )
    assert learning * config.optimizer.encoder_scale == pytest.approx(1.5e-4)
    assert final == 0


def test_frozen_batch_norm_reaches_the_optimizer():
  config = _config('fsnet_deeplabv2', 'cityscapes')
  assert networks.frozen(config)(['backbone', 'bn1', 'scale'])
  config.segmentation.frozen_bn = False
  assert networks.frozen(config) is None
  config = _config('fsnet_fcn8', 'streets')
  config.segmentation.frozen_bn = True
  with pytest.raises(UserError, match='frozen_bn.*deeplab_v2.*fcn8'):
    networks.model(config)


def test_a_comparison_on_camvid_is_small_unless_told_otherwise():
  small, full = (
    _config('compare_fcn8', name) for name in ('camvid', 'camvid_full')
  )
  plain = _config('fsnet_fcn8', 'camvid')
  assert small.width < full.width == plain.width
  assert full.phase1_steps == plain.phase1_steps
  assert small.data == full.data == plain.data
  assert small.eval == full.eval
  with pytest.raises(ValueError, match="'kitti_full'"):
    _config('compare_fcn8', 'kitti_full')


def test_unknown_argument_lists_the_known_ones():
  with pytest.raises(ValueError, match='streets, camvid, cityscapes'):
    _config('fsnet_fcn8', 'kitti')


@pytest.mark.parametrize(
  ('field', 'value', 'words'),
  [
    ('task', 'segxl', 'config.task'),
    ('batch_size', 0, 'config.batch_size is 0'),
    ('width', -1.0, 'config.width'),
    ('phase1_steps', -1, 'config.phase1_steps'),
    ('image_size', (64,), 'config.image_size'),
    ('image_size', (64, 0), 'config.image_size'),
    ('switch', 'patience', 'steps, plateau'),
    ('data.on_error', 'ignore', 'stop, skip'),
    ('loss.beta_range', (0.9, 0.1), 'config.loss.beta_range'),
    ('loss.form', 'focal', 'balanced, pos_weight'),
    ('eval.detectors', ('msp', 'fsnt'), 'Did you mean fsnet?'),
    ('eval.datasets', (), 'config.eval.datasets'),
    ('failure.inputs', ('x', 'w5'), "'w5'"),
    ('segmentation.dropout_rate', 1.0, 'config.segmentation.dropout_rate'),
    ('segmentation.name', 'fcn32', 'fcn8, deeplab_v2, unet'),
    ('segmentation.blocks', (3, 4, 6), 'config.segmentation.blocks'),
    ('compute_dtype', 'float16', 'float32, bfloat16'),
  ],
)
def test_a_mistake_is_one_sentence_that_names_the_field(field, value, words):
  config = copy.deepcopy(_config('fsnet_fcn8', 'streets'))
  config.update_from_flattened_dict({field: value})
  with pytest.raises(UserError) as error:
    validation.check(config)
  assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_nothing_to_train_is_a_mistake():
  config = _config('fsnet_fcn8', 'streets')
  config.phase1_steps = config.phase2_steps = 0
  with pytest.raises(UserError, match='both 0'):
    validation.check(config)


def test_plateau_needs_validation_data():
  config = _config('fsnet_fcn8', 'streets')
  config.switch = 'plateau'
  config.data.validation_split = ''
  with pytest.raises(UserError, match='data.validation_split'):
    validation.check(config)


def test_size_that_the_network_cannot_use_is_refused():
  config = _config('fsnet_fcn8', 'streets')
  config.image_size = (60, 128)
  with pytest.raises(UserError, match='multiples of 32'):
    networks.model(config)
