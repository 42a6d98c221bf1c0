"""Files of another network of the same family, and what they look like."""

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.weights import convert, families
from tests.fsnet_jax.weights import state_dicts

WIDTH = 0.125
VGG13, VGG19 = (2, 2, 2, 2, 2), (2, 2, 4, 4, 4)


def refuses(arch, arrays, *words, blocks=(3, 4, 23, 3)):
  options = convert.Options(arch, WIDTH, blocks=blocks)
  with pytest.raises(UserError) as caught:
    convert.convert(arrays, options, 'F.pth')
  message = str(caught.value)
  assert '\n' not in message
  for word in ('F.pth', *words):
    assert word in message


def keras(depths):
  """As HED's archive names a VGG, with its side outputs."""
  make = state_dicts.Maker()
  inputs = 3
  for stage, (factor, depth) in enumerate(zip((1, 2, 4, 8, 8), depths), 1):
    for index in range(depth):
      layer = f'conv2d_{index}' if index else 'conv2d'
      name = f'block{stage}|layers|{layer}|vars'
      make.normal(f'{name}|0', 3, 3, inputs, 8 * factor)
      make.normal(f'{name}|1', 8 * factor)
      inputs = 8 * factor
  make.normal('dsn1|vars|0', 1, 1, 8, 1)
  make.normal('fuse|vars|1', 1)
  return make.arrays


NETWORKS = {
  'ResNet18': state_dicts.resnet18(),
  'ResNet34': state_dicts.basic_blocks(blocks=(3, 4, 6, 3)),
  'ResNet50': state_dicts.bottlenecks(blocks=(3, 4, 6, 3)),
  'ResNet101': state_dicts.bottlenecks(blocks=(3, 4, 23, 3)),
  'ResNet152': state_dicts.bottlenecks(blocks=(3, 8, 36, 3)),
  'VGG11': state_dicts.vgg((1, 1, 2, 2, 2)),
  'VGG13': state_dicts.vgg(VGG13),
  'VGG16': state_dicts.vgg16(),
  'VGG16 with batch norm': state_dicts.vgg((2, 2, 3, 3, 3), norms=True),
  'VGG19': state_dicts.vgg(VGG19),
  'EfficientNet-Lite0': state_dicts.efficientnet(),
  'EfficientNet-Lite1 or Lite2': state_dicts.efficientnet(
    repeats=(1, 3, 3, 4, 4, 5, 1)
  ),
  'EfficientNet-B0': state_dicts.efficientnet(excite=True),
  'an EfficientNet of 7 blocks': state_dicts.efficientnet(repeats=(1,) * 7),
  'a ResNet of 2, 2, 3, 2 blocks': state_dicts.basic_blocks(
    blocks=(2, 2, 3, 2)
  ),
}


@pytest.mark.parametrize('title', list(NETWORKS))
@pytest.mark.parametrize('prefix', ['', 'model.encoder.'])
def test_networks_are_known_by_their_names(title, prefix):
  names = [prefix + name for name in NETWORKS[title]]
  assert families.resembles(names) == title


def test_other_names_are_like_nothing():
  assert families.resembles(['conv1.weight', 'fc.bias', '']) == ''
  assert families.resembles(keras((2, 2, 3, 3, 3))) == 'VGG16'
  assert families.resembles(keras(VGG19)) == 'VGG19'


@pytest.mark.parametrize(
  ('arch', 'title', 'block'),
  [
    ('resnet18', 'ResNet34', 'layer1.2'),
    ('resnet18', 'ResNet50', 'layer1.0'),
    ('resnet18', 'ResNet101', 'layer1.0'),
    ('resnet18', 'ResNet152', 'layer1.0'),
    ('resnet18', 'a ResNet of 2, 2, 3, 2 blocks', 'layer3.2'),
    ('resnet101', 'ResNet18', 'layer1_0/bn3'),
    ('resnet101', 'ResNet34', 'layer1_0/bn3'),
    ('resnet101', 'ResNet50', 'layer3_10'),
    ('resnet101', 'ResNet152', 'layer2.4'),
    ('deeplabv2', 'ResNet152', 'layer2.4'),
    ('deeplabv2', 'ResNet50', 'layer3_10'),
    ('vgg16', 'VGG11', 'features.3'),
    ('vgg16', 'VGG13', 'features.15'),
    ('vgg16', 'VGG19', 'features.16'),
    ('vgg16', 'VGG16 with batch norm', 'features.1'),
    ('fcn8', 'VGG13', 'features.15'),
    ('fcn8', 'VGG19', 'features.16'),
    ('efficientnet_lite0', 'EfficientNet-Lite1 or Lite2', '_blocks.16'),
    ('efficientnet_lite0', 'EfficientNet-B0', '_blocks.0._se_expand'),
    ('efficientnet_lite0', 'an EfficientNet of 7 blocks', 'block10'),
  ],
)
def test_another_depth_is_refused_by_name(arch, title, block):
  arrays = NETWORKS[title]
  refuses(arch, arrays, arch, title, block)
  arrays = {f'model.module.{n}': a for n, a in arrays.items()}
  refuses(arch, arrays, arch, title, block)


def test_another_depth_in_the_naming_of_keras():
  refuses('vgg16', keras(VGG19), 'block3|layers|conv2d_3', 'VGG19')
  refuses('vgg16', keras(VGG13), 'conv3_3', 'VGG13')
  six = keras((2, 2, 3, 3, 3)) | {
    'block6|layers|conv2d|vars|0': np.ones((3, 3, 64, 64), np.float32)
  }
  refuses('vgg16', six, 'block6|layers|conv2d')
  options = convert.Options('vgg16', WIDTH)
  _, report = convert.convert(keras((2, 2, 3, 3, 3)), options)
  assert report.left_over == ['dsn1|vars|0', 'fuse|vars|1']


@pytest.mark.parametrize(
  ('name', 'shown'),
  [
    ('layer1.0.se.fc1.weight', 'layer1.0.se.fc1,'),
    ('layer5.0.conv1.weight', 'layer5.0,'),
    ('conv1.bias', 'conv1,'),
    ('layer2.0.downsample.2.weight', 'layer2.0.downsample.2,'),
    ('layer4.1.bn3.weight', 'layer4.1.bn3,'),
  ],
)
def test_what_a_block_has_besides_is_not_dropped(name, shown):
  arrays = {**NETWORKS['ResNet18'], name: np.ones(8, np.float32)}
  refuses('resnet18', arrays, f'it has {shown}')


@pytest.mark.parametrize(
  'name',
  ['fc.weight', 'fc2.weight', 'aux_classifier.0.weight', 'best_acc1',
   'criterion.weight', 'layer1.0.bn1.num_batches_tracked', 'head.0.conv.bias'],
)  # fmt: skip
def test_heads_and_counters_may_be_left_over(name):
  arrays = {**NETWORKS['ResNet18'], name: np.ones(8, np.float32)}
  options = convert.Options('resnet18', WIDTH)
  _, report = convert.convert(arrays, options)
  assert name in report.left_over


@pytest.mark.parametrize('name', ['_conv_head.bias', '_fc.weight', '_bn1.bias'])
def test_heads_of_efficientnet_may_be_left_over_and_a_body_not(name):
  arrays = NETWORKS['EfficientNet-Lite0']
  options = convert.Options('efficientnet_lite0', WIDTH)
  whole = {**arrays, name: np.ones(8, np.float32)}
  _, report = convert.convert(whole, options)
  assert name in report.left_over
  for more in ('_bn0.more', '_blocks.0._bn0.weight', '_blocks.3._bn3.bias'):
    refuses(
      'efficientnet_lite0', {**arrays, more: np.ones(8, np.float32)},
      more.rpartition('.')[0],
    )  # fmt: skip


def test_how_deep_a_transformer_is():
  wanted = [f'backbone.blocks.{i}.norm1.weight' for i in range(12)]
  found = [f'backbone.blocks.{i}.norm1.weight' for i in range(24)]
  assert families.other_depth(found, wanted) == (
    'it has 24 backbone.blocks (as a large transformer has) where this network '
    'has 12'
  )
  assert 'has 5 backbone.blocks where' in families.other_depth(
    found[:5], wanted
  )
  assert families.other_depth(wanted, wanted) == ''
  assert families.other_depth(['head.weight'], wanted) == ''
