"""DeepLabV2 on ResNet101 in PyTorch: the reference for parity and speed.

Written from the published layout with PyTorch's own layers. Names follow
torchvision (backbone) and SynthCP (heads), so that a state dict of either has
this one's keys.
"""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.torch_models import MEAN_255, per_channel, scaled


class Bottleneck(nn.Module):
  """1x1 (with the stride), 3x3 (with the dilation), 1x1, and a shortcut."""

  def __init__(self, inputs, features, stride, dilation, project):
    super().__init__()
    wide = 4 * features
    self.conv1 = nn.Conv2d(inputs, features, 1, stride, bias=False)
    self.bn1 = nn.BatchNorm2d(features)
    self.conv2 = nn.Conv2d(
      features, features, 3, padding=dilation, dilation=dilation, bias=False
    )
    self.bn2 = nn.BatchNorm2d(features)
    self.conv3 = nn.Conv2d(features, wide, 1, bias=False)
    self.bn3 = nn.BatchNorm2d(wide)
    self.downsample = None
    if project:
      self.downsample = nn.Sequential(
        nn.Conv2d(inputs, wide, 1, stride, bias=False), nn.BatchNorm2d(wide)
      )

  def forward(self, x):
    """Features [b k h w] -> features."""
    y = functional.relu(self.bn1(self.conv1(x)))
    y = functional.relu(self.bn2(self.conv2(y)))
    y = self.bn3(self.conv3(y))
    short = x if self.downsample is None else self.downsample(x)
    return functional.relu(y + short)


class ASPP(nn.Module):
  """Five branches, their fusion, and the classifier; eps 3e-4."""

  def __init__(self, inputs, depth, num_classes, dropout_rate):
    super().__init__()
    for index, dilation in enumerate((0, 6, 12, 18, 0), 1):
      conv = nn.Conv2d(
        inputs,
        depth,
        3 if dilation else 1,
        padding=dilation,
        dilation=dilation or 1,
        bias=False,
      )
      setattr(self, f'aspp{index}', conv)
      setattr(self, f'aspp{index}_bn', nn.BatchNorm2d(depth, 3e-4))
    self.conv2 = nn.Conv2d(5 * depth, depth, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(depth, 3e-4)
    self.dropout = nn.Dropout2d(dropout_rate)
    self.conv3 = nn.Conv2d(depth, num_classes, 1)

  def branch(self, index, x):
    """One branch, counted from 1."""
    norm = getattr(self, f'aspp{index}_bn')
    return functional.relu(norm(getattr(self, f'aspp{index}')(x)))

  def forward(self, x):
    """Features [b k h w] -> (fused features, scores)."""
    parts = [self.branch(index, x) for index in (1, 2, 3, 4)]
    mean = functional.adaptive_avg_pool2d(x, 1)
    parts.append(resize_corners(self.branch(5, mean), x.shape[2:]))
    fused = functional.relu(self.bn2(self.conv2(torch.cat(parts, 1))))
    return fused, self.conv3(self.dropout(fused))


class AtrousSum(nn.Module):
  """The head of the published DeepLabV2."""

  def __init__(self, inputs, num_classes):
    super().__init__()
    self.conv2d_list = nn.ModuleList(
      nn.Conv2d(inputs, num_classes, 3, padding=d, dilation=d)
      for d in (6, 12, 18, 24)
    )

  def forward(self, x):
    """Features [b k h w] -> (None, scores)."""
    return None, sum(conv(x) for conv in self.conv2d_list)


def resize_corners(x, size):
  """Bilinear resizing with aligned corners."""
  return functional.interpolate(
    x, tuple(size), mode='bilinear', align_corners=True
  )


class DeepLabV2(nn.Module):
  """The backbone at stride 8 and one of two heads."""

  def __init__(
    self,
    num_classes=19,
    width=1.0,
    head='synthcp',
    dropout_rate=0.0,
    input_scale=1.0,
    blocks=(3, 4, 23, 3),
  ):
    super().__init__()
    self.input_scale = input_scale
    channels = scaled(64, width)
    self.conv1 = nn.Conv2d(3, channels, 7, 2, 3, bias=False)
    self.bn1 = nn.BatchNorm2d(channels)
    self.maxpool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
    settings = ((64, 1, 1), (128, 2, 1), (256, 1, 2), (512, 1, 4))
    for stage, (base, stride, dilation) in enumerate(settings):
      features = scaled(base, width)
      layers = []
      for index in range(blocks[stage]):
        first = index == 0
        layers.append(
          Bottleneck(
            channels, features, stride if first else 1, dilation, first
          )
        )
        channels = 4 * features
      setattr(self, f'layer{stage + 1}', nn.Sequential(*layers))
    self.head = 'aspp' if head == 'synthcp' else 'layer5'
    if head == 'synthcp':
      depth = scaled(256, width)
      self.aspp = ASPP(channels, depth, num_classes, dropout_rate)
    else:
      self.layer5 = AtrousSum(channels, num_classes)

  def stages(self, images):
    """Images [b 3 h w], 0..255 -> the four stages' features."""
    x = (images - per_channel(MEAN_255, images)) * self.input_scale
    x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
    found = []
    for stage in (1, 2, 3, 4):
      x = getattr(self, f'layer{stage}')(x)
      found.append(x)
    return found

  def forward(self, images):
    """Images [b 3 h w], 0..255 -> (logits, stages, fused features)."""
    stages = self.stages(images)
    fused, scores = getattr(self, self.head)(stages[-1])
    return resize_corners(scores, images.shape[2:]), stages, fused
