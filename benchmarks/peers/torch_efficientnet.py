"""U-Net on EfficientNet-Lite0 in PyTorch: the reference for speed.

The encoder is that of the package `efficientnet-lite-pytorch`, at full width.
"""

import efficientnet_lite_pytorch
import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.torch_models import per_channel

SKIPS = (16, 24, 40, 112)
CHANNELS = (128, 96, 64, 48)


def encoder():
  """EfficientNet-Lite0 with random weights, for images of any size."""
  return efficientnet_lite_pytorch.EfficientNet.from_name(
    'efficientnet-lite0', image_size=None, drop_connect_rate=0
  )


def stages(model, x):
  """Its features before each halving, and at the end.

  Args:
    model: of `encoder`.
    x: normalised images [b 3 h w].

  Returns:
    Five maps, at strides 2, 4, 8, 16 and 32.
  """
  x = model._swish(model._bn0(model._conv_stem(x)))
  found = []
  for block in model._blocks:
    y = block(x)
    if y.shape[2] < x.shape[2]:
      found.append(x)
    x = y
  return [*found, x]


class Level(nn.Module):
  """Upsamples to the skip, joins it, and convolves 3x3 once."""

  def __init__(self, inputs, outputs):
    super().__init__()
    self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    self.bn = nn.BatchNorm2d(outputs)

  def forward(self, x, skip):
    """Features [b k h w] and [b k2 2h 2w] -> [b outputs 2h 2w]."""
    x = functional.interpolate(x, skip.shape[2:], mode='bilinear')
    x = self.conv(torch.cat([x, skip], 1))
    return functional.relu(self.bn(x))


class EfficientNetUNet(nn.Module):
  """The network of `fsnet_jax.models.segmentation.efficientnet_unet`."""

  def __init__(self, num_classes=19):
    super().__init__()
    self.encoder = encoder()
    # What classifies an image has no part in it.
    self.encoder._conv_head = self.encoder._bn1 = self.encoder._fc = None
    inputs, levels = 320, []
    for skip, outputs in zip(reversed(SKIPS), CHANNELS):
      levels.append(Level(inputs + skip, outputs))
      inputs = outputs
    self.levels = nn.ModuleList(levels)
    self.score = nn.Conv2d(inputs, num_classes, 1)

  def forward(self, images):
    """Images [b 3 h w], 0..255 -> (logits, deepest features)."""
    mean = per_channel((0.485, 0.456, 0.406), images)
    std = per_channel((0.229, 0.224, 0.225), images)
    *skips, deepest = stages(self.encoder, (images / 255 - mean) / std)
    x = deepest
    for level, skip in zip(self.levels, reversed(skips)):
      x = level(x, skip)
    size = images.shape[2:]
    logits = functional.interpolate(self.score(x), size, mode='bilinear')
    return logits, deepest
