"""What other people call the layers of the networks here.

An architecture has dialects: ways of naming that are in use, each told by
one name that no other has. A dialect turns the path of one of our arrays,
such as ('params', 'layer1_0', 'conv1', 'kernel'), into the name of the same
array there, or None where that naming has no such array.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from fsnet_jax.models.segmentation import vgg

Path = tuple[str, ...]

_LEAVES = {
  'kernel': 'weight',
  'scale': 'weight',
  'bias': 'bias',
  'mean': 'running_mean',
  'var': 'running_var',
}


class Dialect(NamedTuple):
  """A naming in use.

  Attributes:
    title: what it is called in messages.
    anchor: a name by which files in this naming are known.
    name: from our path to the name there.
    input: how such networks take images; a key of `inputs.INPUTS`.
    height_first: whether kernels lie height, width, in, out as ours do;
      else out, in, height, width.
    skipped: pattern of the names that follow the body in such files and may
      be left over: heads of other tasks.
  """

  title: str
  anchor: str
  name: Callable[[Path], str | None]
  input: str
  height_first: bool = False
  skipped: str = r'(fc|classifier|aux_classifier|dsn\d|fuse)[.|].*'


class Architecture(NamedTuple):
  """A network that can be converted.

  Attributes:
    title: what people call it, or its backbone.
    dialects: the namings in which files of it are found.
    heads: its layers that a file may lack: those that a backbone has not.
    first: path of its first layer below 'params'.
    input: how our network takes images; a key of `inputs.INPUTS`.
    first_norm: the batch norm that follows a first layer without bias.
  """

  title: str
  dialects: tuple[Dialect, ...]
  heads: tuple[str, ...]
  first: Path
  input: str
  first_norm: str = 'bn1'


def _torch(module: str | None, path: Path) -> str | None:
  return None if module is None else f'{module}.{_LEAVES[path[-1]]}'


def _vgg_index(layer: str) -> int:
  """Place of `conv3_2` in VGG16's list of layers, ReLU and pools included."""
  stage, index = (int(n) for n in layer.removeprefix('conv').split('_'))
  before = sum(2 * depth + 1 for _, depth in vgg.STAGES[: stage - 1])
  return before + 2 * (index - 1)


def _vgg16(path: Path) -> str | None:
  return _torch(f'features.{_vgg_index(path[1])}', path)


def vgg16_keras(path: Path) -> str | None:
  """The HED archive's name of one of VGG16's arrays.

  Args:
    path: such as ('params', 'conv3_2', 'kernel').
  """
  stage, index = path[1].removeprefix('conv').split('_')
  layer = 'conv2d' if index == '1' else f'conv2d_{int(index) - 1}'
  return f'block{stage}|layers|{layer}|vars|{int(path[2] == "bias")}'


def _fcn8(
  features: str, layers: dict[str, str]
) -> Callable[[Path], str | None]:
  def name(path: Path) -> str | None:
    if path[1] == 'vgg':
      return _torch(f'{features}.{_vgg_index(path[2])}', path)
    return _torch(layers.get(path[1]), path)

  return name


def _resnet(path: Path) -> str | None:
  module = '.'.join(path[1:-1])
  module = re.sub(r'^layer(\d+)_(\d+)', r'layer\1.\2', module)
  module = module.replace('downsample_conv', 'downsample.0')
  return _torch(module.replace('downsample_bn', 'downsample.1'), path)


def _deeplab(path: Path) -> str | None:
  if path[1] == 'backbone':
    return _resnet(path[:1] + path[2:])
  module = '.'.join(path[1:-1])
  if module == 'classifier':
    module = 'aspp.conv3'
  return _torch(re.sub(r'^layer5_', 'layer5.conv2d_list.', module), path)


_EFFICIENTNET = {
  'stem_conv': '_conv_stem',
  'stem_bn': '_bn0',
  'expand_conv': '_expand_conv',
  'expand_bn': '_bn0',
  'depthwise_conv': '_depthwise_conv',
  'depthwise_bn': '_bn1',
  'project_conv': '_project_conv',
  'project_bn': '_bn2',
}


def _efficientnet(path: Path) -> str | None:
  *block, layer = path[1:-1]
  before = ''.join(f'_blocks.{n.removeprefix("block")}.' for n in block)
  return _torch(f'{before}{_EFFICIENTNET[layer]}', path)


_SYNTHCP_FCN8 = {
  'fc6': 'vgg_head.0',
  'fc7': 'vgg_head.3',
  'score_fr': 'vgg_head.6',
  'score_pool4': 'score_pool4',
  'score_pool3': 'score_pool3',
}
_CLASSIFIER = {'fc6': 'classifier.0', 'fc7': 'classifier.3'}

_RESNET = Dialect('torchvision', 'conv1.weight', _resnet, 'torchvision')
# Told apart by their heads: the images that they take differ.
_CAFFE_HEADS = ('layer5.conv2d_list.0.weight', 'aspp.aspp1.weight')


def _caffe(name: Callable[[Path], str | None]) -> tuple[Dialect, ...]:
  title = "SynthCP's DeepLab"
  return tuple(Dialect(title, head, name, 'rgb255') for head in _CAFFE_HEADS)


# By segmentation network: what its backbone is called here and in its tree.
BACKBONES = {
  'fcn8': ('vgg16', 'vgg'),
  'deeplab_v2': ('resnet101', 'backbone'),
  'efficientnet_unet': ('efficientnet_lite0', 'encoder'),
}

ARCHITECTURES = {
  'vgg16': Architecture(
    'VGG16',
    (
      Dialect('torchvision', 'features.0.weight', _vgg16, 'torchvision'),
      Dialect(
        "Keras's HED", 'block1|layers|conv2d|vars|0', vgg16_keras, 'bgr255',
        height_first=True,
      ),
    ),
    (), ('conv1_1',), 'rgb255',
  ),
  'resnet18': Architecture(
    'ResNet18', (_RESNET,), (), ('conv1',), 'torchvision'
  ),
  'resnet101': Architecture(
    'ResNet101', (*_caffe(_resnet), _RESNET), (), ('conv1',), 'rgb255'
  ),
  'efficientnet_lite0': Architecture(
    'EfficientNet-Lite0',
    (
      Dialect(
        'EfficientNet-PyTorch', '_conv_stem.weight', _efficientnet,
        'torchvision', skipped=r'(_conv_head|_bn1|_fc)\..*',
      ),
    ),
    (), ('stem_conv',), 'torchvision', 'stem_bn',
  ),
  'fcn8': Architecture(
    'VGG16',
    (
      Dialect(
        'torchvision', 'features.0.weight', _fcn8('features', _CLASSIFIER),
        'torchvision',
      ),
      Dialect(
        "SynthCP's FCN8", 'vgg.0.weight', _fcn8('vgg', _SYNTHCP_FCN8),
        'rgb255',
      ),
    ),
    ('score_fr', 'score_pool4', 'score_pool3'), ('vgg', 'conv1_1'), 'rgb255',
  ),
  'deeplabv2': Architecture(
    'ResNet101',
    (
      *_caffe(_deeplab),
      Dialect('torchvision', 'conv1.weight', _deeplab, 'torchvision'),
    ),
    ('aspp', 'classifier', 'layer5_0', 'layer5_1', 'layer5_2', 'layer5_3'),
    ('backbone', 'conv1'), 'rgb255',
  ),
}  # fmt: skip
