"""State dicts with the public names of torchvision, narrow, without torch."""

import numpy as np


class Maker:
  """Collects named random arrays as PyTorch lays them out."""

  def __init__(self, seed=0):
    self.rng = np.random.default_rng(seed)
    self.arrays = {}

  def normal(self, name, *shape):
    values = self.rng.standard_normal(shape).astype(np.float32)
    self.arrays[name] = values / np.sqrt(np.prod(shape[1:]), dtype=np.float32)

  def conv(self, name, inputs, outputs, size, bias=True):
    self.normal(f'{name}.weight', outputs, inputs, size, size)
    if bias:
      self.normal(f'{name}.bias', outputs)

  def batch_norm(self, name, channels):
    for leaf in ('weight', 'bias', 'running_mean'):
      self.normal(f'{name}.{leaf}', channels)
    variance = self.rng.random(channels, np.float32) + 0.5
    self.arrays[f'{name}.running_var'] = variance
    self.arrays[f'{name}.num_batches_tracked'] = np.array(3)


def vgg16(base=8, head=16, seed=0):
  """VGG16 configuration D with `base` channels in its first stage."""
  return vgg((2, 2, 3, 3, 3), base, head, seed)


def vgg(depths, base=8, head=16, seed=0, norms=False):
  """A VGG of so many convolutions in each stage, with its classifier."""
  make = Maker(seed)
  inputs, place = 3, 0
  for factor, depth in zip((1, 2, 4, 8, 8), depths):
    for _ in range(depth):
      make.conv(f'features.{place}', inputs, factor * base, 3)
      inputs = factor * base
      if norms:
        place += 1
        make.batch_norm(f'features.{place}', inputs)
      place += 2
    place += 1
  make.normal('classifier.0.weight', head, inputs * 49)
  make.normal('classifier.0.bias', head)
  make.normal('classifier.3.weight', head, head)
  make.normal('classifier.3.bias', head)
  make.normal('classifier.6.weight', 10, head)
  make.normal('classifier.6.bias', 10)
  return make.arrays


def resnet18(base=8, seed=0):
  """ResNet18 with `base` channels in its first stage."""
  return basic_blocks(base, (2, 2, 2, 2), seed)


def basic_blocks(base=8, blocks=(2, 2, 2, 2), seed=0):
  """ResNet18's layout with so many blocks in each stage, and classifier."""
  make = Maker(seed)
  make.conv('conv1', 3, base, 7, bias=False)
  make.batch_norm('bn1', base)
  inputs = base
  for stage, count in enumerate(blocks):
    outputs = base << stage
    for block in range(count):
      name = f'layer{stage + 1}.{block}'
      for index in (1, 2):
        make.conv(f'{name}.conv{index}', inputs, outputs, 3, bias=False)
        make.batch_norm(f'{name}.bn{index}', outputs)
        previous, inputs = inputs, outputs
        if index == 1 and block == 0 and stage > 0:
          make.conv(f'{name}.downsample.0', previous, outputs, 1, bias=False)
          make.batch_norm(f'{name}.downsample.1', outputs)
  make.normal('fc.weight', 10, inputs)
  make.normal('fc.bias', 10)
  return make.arrays


def efficientnet(width=0.125, repeats=(1, 2, 2, 3, 3, 4, 1), excite=False):
  """EfficientNet-PyTorch's naming, with so many blocks in each stage."""
  make = Maker()

  def scaled(channels):
    return max(8, 8 * round(channels * width / 8))

  inputs, number = scaled(32), 0
  make.conv('_conv_stem', 3, inputs, 3, bias=False)
  make.batch_norm('_bn0', inputs)
  kernels, channels = (3, 3, 5, 3, 5, 5, 3), (16, 24, 40, 80, 112, 192, 320)
  for stage, (kernel, outputs) in enumerate(zip(kernels, channels)):
    for _ in range(repeats[stage]):
      name = f'_blocks.{number}'
      inner = inputs * (6 if stage else 1)
      if stage:
        make.conv(f'{name}._expand_conv', inputs, inner, 1, bias=False)
        make.batch_norm(f'{name}._bn0', inner)
      make.conv(f'{name}._depthwise_conv', 1, inner, kernel, bias=False)
      make.batch_norm(f'{name}._bn1', inner)
      if excite:
        make.conv(f'{name}._se_reduce', inner, 8, 1)
        make.conv(f'{name}._se_expand', 8, inner, 1)
      inputs = scaled(outputs)
      make.conv(f'{name}._project_conv', inner, inputs, 1, bias=False)
      make.batch_norm(f'{name}._bn2', inputs)
      number += 1
  make.conv('_conv_head', inputs, 1280, 1, bias=False)
  make.batch_norm('_bn1', 1280)
  make.normal('_fc.weight', 10, 1280)
  make.normal('_fc.bias', 10)
  return make.arrays


def bottlenecks(base=8, blocks=(1, 1, 1, 1), seed=0):
  """ResNet101's layout with few blocks, without classifier."""
  make = Maker(seed)
  make.conv('conv1', 3, base, 7, bias=False)
  make.batch_norm('bn1', base)
  inputs = base
  for stage, count in enumerate(blocks):
    inner = base << stage
    for block in range(count):
      name = f'layer{stage + 1}.{block}'
      shapes = [(inputs, inner, 1), (inner, inner, 3), (inner, 4 * inner, 1)]
      for index, shape in enumerate(shapes, 1):
        make.conv(f'{name}.conv{index}', *shape, bias=False)
        make.batch_norm(f'{name}.bn{index}', shape[1])
      if block == 0:
        make.conv(f'{name}.downsample.0', inputs, 4 * inner, 1, bias=False)
        make.batch_norm(f'{name}.downsample.1', 4 * inner)
      inputs = 4 * inner
  return make.arrays
