"""SegXAL's U-Net in PyTorch: the reference for parity and speed."""

import torch
from torch import nn
from torch.nn import functional

from benchmarks.peers.torch_models import per_channel, scaled

CHANNELS = (64, 128, 256, 512, 1024)


class Block(nn.Module):
  """Twice: 3x3 convolution, ReLU, batch norm."""

  def __init__(self, inputs, outputs):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
    self.bn2 = nn.BatchNorm2d(outputs)

  def forward(self, x):
    """Features [b k h w] -> features of the same size."""
    x = self.bn1(functional.relu(self.conv1(x)))
    return self.bn2(functional.relu(self.conv2(x)))


class UNet(nn.Module):
  """Five levels; the names of its parameters are those of `fsnet_jax`."""

  def __init__(self, num_classes=19, width=1.0):
    super().__init__()
    widths = [scaled(channels, width) for channels in CHANNELS]
    inputs = 3
    for level, channels in enumerate(widths, 1):
      setattr(self, f'down{level}', Block(inputs, channels))
      inputs = channels
    for level in (4, 3, 2, 1):
      channels = widths[level - 1]
      up = nn.ConvTranspose2d(widths[level], channels, 3, 2, 1, 1)
      setattr(self, f'up{level}', up)
      setattr(self, f'block{level}', Block(2 * channels, channels))
    self.score = nn.Conv2d(widths[0], num_classes, 3, padding=1)

  def forward(self, images):
    """Images [b 3 h w], 0..255 -> (logits, encoder's levels, last block)."""
    mean = per_channel((0.485, 0.456, 0.406), images)
    std = per_channel((0.229, 0.224, 0.225), images)
    x = (images / 255 - mean) / std
    levels = []
    for level in (1, 2, 3, 4, 5):
      x = functional.max_pool2d(x, 2) if level > 1 else x
      x = getattr(self, f'down{level}')(x)
      levels.append(x)
    for level in (4, 3, 2, 1):
      x = getattr(self, f'up{level}')(x)
      x = torch.cat([x, levels[level - 1]], 1)
      x = getattr(self, f'block{level}')(x)
    return self.score(x), levels, x
