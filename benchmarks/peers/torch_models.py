"""The same networks in PyTorch: references for parity and for speed.

Written from the published layouts with PyTorch's own layers (padding,
ceil-mode pooling, transposed convolution, `interpolate`), not by translating
`fsnet_jax`, so that agreement means something.
"""

import torch
from torch import nn
from torch.nn import functional

VGG_STAGES = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
MEAN_255 = (0.485 * 255, 0.458 * 255, 0.408 * 255)
FAILURE_INPUTS = ('x', 'w1', 'w2', 'w3', 'w4', 'seg_features')


def scaled(channels, width):
  """Channels at a width: whole multiples of 8 unless the width is 1."""
  return channels if width == 1 else max(8, 8 * round(channels * width / 8))


def bilinear_kernel(channels, factor):
  """Diagonal kernel [c, c, 2f, 2f] of a bilinear transposed convolution."""
  taps = torch.arange(2 * factor, dtype=torch.float32)
  line = 1 - (taps - (factor - 0.5)).abs() / factor
  kernel = torch.zeros(channels, channels, 2 * factor, 2 * factor)
  for channel in range(channels):
    kernel[channel, channel] = line[:, None] * line[None, :]
  return kernel


def per_channel(values, like):
  """Three numbers as [1 3 1 1], of another tensor's type and device."""
  values = torch.tensor(values, dtype=like.dtype, device=like.device)
  return values[None, :, None, None]


class FCN8(nn.Module):
  """FCN8 on VGG16, with SynthCP's padding or with 'same' padding."""

  def __init__(
    self,
    num_classes=19,
    width=1.0,
    head_width=None,
    padding='pad99',
    dropout_rate=0.5,
    skip_scale=(0.01, 0.0001),
    input_scale=1.0,
  ):
    super().__init__()
    self.padding, self.skip_scale = padding, skip_scale
    self.input_scale = input_scale
    head = head_width or scaled(4096, width)
    self.stages = nn.ModuleList()
    channels = 3
    for base, depth in VGG_STAGES:
      stage = []
      for _ in range(depth):
        stage += [nn.Conv2d(channels, scaled(base, width), 3, padding=1)]
        stage += [nn.ReLU(inplace=True)]
        channels = scaled(base, width)
      stage.append(nn.MaxPool2d(2, 2, ceil_mode=padding == 'pad99'))
      self.stages.append(nn.Sequential(*stage))
    self.fc6 = nn.Conv2d(
      channels, head, 7, padding=0 if padding == 'pad99' else 3
    )
    self.fc7 = nn.Conv2d(head, head, 1)
    self.score_fr = nn.Conv2d(head, num_classes, 1)
    self.score_pool4 = nn.Conv2d(channels, num_classes, 1)
    self.score_pool3 = nn.Conv2d(scaled(256, width), num_classes, 1)
    self.dropout = nn.Dropout2d(dropout_rate)
    self.register_buffer('up2', bilinear_kernel(num_classes, 2))
    self.register_buffer('up8', bilinear_kernel(num_classes, 8))

  def forward(self, images):
    """Images [b 3 h w], 0..255 -> (logits [b c h w], pool5 on its grid)."""
    height, width = images.shape[2:]
    x = (images - per_channel(MEAN_255, images)) * self.input_scale
    if self.padding == 'pad99':
      x = functional.pad(x, (99, 99, 99, 99))
    pools = []
    for stage in self.stages:
      x = stage(x)
      pools.append(x)
    _, _, pool3, pool4, pool5 = pools
    x = self.dropout(functional.relu(self.fc6(pool5)))
    x = self.dropout(functional.relu(self.fc7(x)))
    x = self.score_fr(x)
    skip4 = self.score_pool4(self.skip_scale[0] * pool4)
    skip3 = self.score_pool3(self.skip_scale[1] * pool3)
    if self.padding != 'pad99':
      x = resize(x, skip4.shape[2:]) + skip4
      x = resize(x, skip3.shape[2:]) + skip3
      return resize(x, (height, width)), pool5
    x = functional.conv_transpose2d(x, self.up2, stride=2)
    x = x + skip4[:, :, 5 : 5 + x.shape[2], 5 : 5 + x.shape[3]]
    x = functional.conv_transpose2d(x, self.up2, stride=2)
    x = x + skip3[:, :, 9 : 9 + x.shape[2], 9 : 9 + x.shape[3]]
    x = functional.conv_transpose2d(x, self.up8, stride=8)
    logits = x[:, :, 31 : 31 + height, 31 : 31 + width]
    rows, columns = -(-height // 32), -(-width // 32)
    return logits, pool5[:, :, 3 : 3 + rows, 3 : 3 + columns]


class BasicBlock(nn.Module):
  """ResNet's block of two 3x3 convolutions, with torchvision's names."""

  def __init__(self, inputs, outputs, stride):
    super().__init__()
    self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    self.bn1 = nn.BatchNorm2d(outputs)
    self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
    self.bn2 = nn.BatchNorm2d(outputs)
    self.downsample = None
    if stride != 1 or inputs != outputs:
      self.downsample = nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, stride, bias=False),
        nn.BatchNorm2d(outputs),
      )

  def forward(self, x):
    """Features [b k h w] -> features."""
    y = functional.relu(self.bn1(self.conv1(x)))
    y = self.bn2(self.conv2(y))
    short = x if self.downsample is None else self.downsample(x)
    return functional.relu(y + short)


class ResNet18(nn.Module):
  """ResNet18's encoder with torchvision's names; returns four stages."""

  def __init__(self, in_channels=3, width=1.0, blocks=2):
    super().__init__()
    channels = scaled(64, width)
    self.conv1 = nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False)
    self.bn1 = nn.BatchNorm2d(channels)
    self.maxpool = nn.MaxPool2d(3, 2, 1)
    for stage, base in enumerate((64, 128, 256, 512), 1):
      outputs = scaled(base, width)
      layer = [BasicBlock(channels, outputs, 1 if stage == 1 else 2)]
      layer += [BasicBlock(outputs, outputs, 1) for _ in range(blocks - 1)]
      setattr(self, f'layer{stage}', nn.Sequential(*layer))
      channels = outputs

  def forward(self, x):
    """Inputs [b k h w] -> the four stages' features."""
    x = self.maxpool(functional.relu(self.bn1(self.conv1(x))))
    stages = []
    for stage in (1, 2, 3, 4):
      x = getattr(self, f'layer{stage}')(x)
      stages.append(x)
    return stages


class ConvUnit(nn.Module):
  """Convolution, batch norm, ReLU."""

  def __init__(self, inputs, outputs, size):
    super().__init__()
    pad = (size - 1) // 2
    self.conv = nn.Conv2d(inputs, outputs, size, padding=pad, bias=False)
    self.bn = nn.BatchNorm2d(outputs)

  def forward(self, x):
    """Features [b k h w] -> features of the same size."""
    return functional.relu(self.bn(self.conv(x)))


def resize(x, size):
  """Half-pixel bilinear resizing."""
  return functional.interpolate(
    x, tuple(size), mode='bilinear', align_corners=False
  )


class FailureNet(nn.Module):
  """F of FSNet; `seg_channels` and `z_stride` describe S_E(x)."""

  def __init__(
    self,
    seg_channels,
    num_classes=19,
    width=1.0,
    decoder='skips',
    branches='multi',
    inputs=FAILURE_INPUTS,
    z_stride=32,
    blocks=2,
  ):
    super().__init__()
    self.inputs, self.decoder, self.z_stride = inputs, decoder, z_stride
    self.w1 = nn.Conv2d(num_classes, 1, 1) if 'w1' in inputs else None
    if branches == 'single':
      wanted = [('encoder', FAILURE_INPUTS[:5])]
    else:
      wanted = [('encoder1', ('x', 'w1')), ('encoder2', FAILURE_INPUTS[1:5])]
    self.branches = []
    for name, members in wanted:
      members = [member for member in members if member in inputs]
      if members:
        count = sum(3 if member == 'x' else 1 for member in members)
        setattr(self, name, ResNet18(count, width, blocks))
        self.branches.append((name, members))
    stage = [len(self.branches) * scaled(n, width) for n in (64, 128, 256)]
    z = len(self.branches) * scaled(512, width)
    z += seg_channels if 'seg_features' in inputs else 0
    pixels = sum(3 if name == 'x' else 1 for name in inputs)
    pixels -= 1 if 'seg_features' in inputs else 0
    self._build_decoder(width, stage, z, pixels)

  def _build_decoder(self, width, stage, z, pixels):
    widths = [scaled(n, width) for n in (256, 128, 64, 32, 16)]
    if self.decoder == 'four_scale':
      head = scaled(64, width)
      for scale, inputs in enumerate([*stage, z], 1):
        setattr(self, f'scale{scale}', ConvUnit(inputs, head, 1))
      self.score = nn.Conv2d(4 * head, 1, 1)
      return
    # What joins at strides 16, 8, 4, 2, 1.
    joining = [*stage[::-1], pixels, pixels]
    strides = (16, 8, 4, 2, 1)
    if self.decoder == 'literal':
      joining = [0] * 5
      steps = self.z_stride.bit_length() - 1
      self.steps = list(range(1, steps + 1))
    else:
      self.steps = [
        i for i, stride in enumerate(strides, 1) if stride < self.z_stride
      ]
      early = [n for n, s in zip(joining, strides) if s >= self.z_stride]
      z += sum(early)
    self.project = ConvUnit(z, widths[0], 1)
    channels = widths[0]
    for step in self.steps:
      unit = ConvUnit(channels + joining[step - 1], widths[step - 1], 3)
      setattr(self, f'up{step}', unit)
      channels = widths[step - 1]
    self.score = nn.Conv2d(channels, 1, 1)

  def forward(self, images, logits, seg_features):
    """Images, logits, S_E(x), all [b k h w] -> failure logits [b h w]."""
    maps = self._maps(images, logits)
    encoded = [
      getattr(self, name)(torch.cat([maps[m] for m in members], 1))
      for name, members in self.branches
    ]
    grid = seg_features.shape[2:]
    z = [resize(stages[3], grid) for stages in encoded]
    if 'seg_features' in self.inputs:
      z.append(seg_features)
    z = torch.cat(z, 1)
    chosen = [maps[n] for n in FAILURE_INPUTS[:5] if n in self.inputs]
    pixels = torch.cat(chosen, 1)
    stages = [torch.cat(stage, 1) for stage in zip(*encoded)]
    return self._decode(z, stages, pixels)[:, 0]

  def _maps(self, images, logits):
    mean = per_channel((0.485, 0.456, 0.406), images)
    std = per_channel((0.229, 0.224, 0.225), images)
    probs = logits.softmax(1)
    entropy = -(probs * probs.clamp_min(1e-30).log()).sum(1, keepdim=True)
    index = logits.argmax(1, keepdim=True).to(logits.dtype)
    maps = {
      'x': (images / 255 - mean) / std,
      'w2': probs.amax(1, keepdim=True),
      'w3': entropy.sigmoid(),
      'w4': index / (logits.shape[1] - 1),
    }
    if self.w1:
      maps['w1'] = self.w1(logits)
    return maps

  def _decode(self, z, stages, pixels):
    size = pixels.shape[2:]
    if self.decoder == 'four_scale':
      scales = [
        resize(getattr(self, f'scale{i}')(x), size)
        for i, x in enumerate([*stages[:3], z], 1)
      ]
      return self.score(torch.cat(scales, 1))
    if self.decoder == 'literal':
      x = self.project(z)
      for step in self.steps:
        doubled = [min(2 * n, m) for n, m in zip(x.shape[2:], size)]
        x = getattr(self, f'up{step}')(resize(x, doubled))
      return resize(self.score(x), size)
    half = [(n + 1) // 2 for n in size]
    rungs = [stages[2], stages[1], stages[0], resize(pixels, half), pixels]
    early = [
      resize(rung, z.shape[2:])
      for step, rung in enumerate(rungs, 1)
      if step not in self.steps
    ]
    x = self.project(torch.cat([z, *early], 1))
    for step in self.steps:
      rung = rungs[step - 1]
      x = torch.cat([resize(x, rung.shape[2:]), rung], 1)
      x = getattr(self, f'up{step}')(x)
    return self.score(x)
