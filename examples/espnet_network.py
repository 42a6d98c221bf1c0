"""ESPNet as a PyTorch module, with the names of its authors' weights.

Mehta, Rastegari, Caspi, Shapiro, Hajishirzi, "ESPNet: Efficient Spatial
Pyramid of Dilated Convolutions for Semantic Segmentation", ECCV 2018;
the published weights have p = 2 and q = 8 ESP modules at a quarter and an
eighth of the image's size.
"""

from __future__ import annotations

import torch
from torch import nn

# Rates of the parallel branches of an ESP module.
_RATES = (1, 2, 4, 8, 16)
# Of the published weights; PyTorch's default is 1e-5.
_EPSILON = 1e-3


def _norm(channels: int) -> nn.BatchNorm2d:
  return nn.BatchNorm2d(channels, eps=_EPSILON)


class Conv(nn.Module):
  """A convolution without bias that keeps the size, or divides it."""

  def __init__(
    self, inputs: int, outputs: int, kernel: int, stride: int = 1, rate: int = 1
  ):
    super().__init__()
    self.conv = nn.Conv2d(
      inputs,
      outputs,
      kernel,
      stride,
      padding=(kernel - 1) // 2 * rate,
      dilation=rate,
      bias=False,
    )

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[b inputs h w] to [b outputs h/stride w/stride]."""
    return self.conv(x)


class NormAct(nn.Module):
  """Batch normalisation and a PReLU with a slope a channel."""

  def __init__(self, channels: int):
    super().__init__()
    self.bn = _norm(channels)
    self.act = nn.PReLU(channels)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[b channels h w] to the same shape."""
    return self.act(self.bn(x))


class ConvNormAct(NormAct):
  """A 3x3 convolution before them."""

  def __init__(self, inputs: int, outputs: int, stride: int):
    super().__init__(outputs)
    self.conv = Conv(inputs, outputs, 3, stride).conv

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[b inputs h w] to [b outputs h/stride w/stride]."""
    return super().forward(self.conv(x))


class _Pyramid(nn.Module):
  """Reduce, split, transform and merge: what both ESP modules share."""

  def __init__(self, inputs: int, outputs: int, kernel: int, stride: int):
    super().__init__()
    width = outputs // len(_RATES)
    self.c1 = Conv(inputs, width, kernel, stride)
    # The first branch takes the channels that five equal ones leave over.
    first = outputs - width * (len(_RATES) - 1)
    for rate in _RATES:
      branch = Conv(width, first if rate == 1 else width, 3, rate=rate)
      self.add_module(f'd{rate}', branch)

  def pyramid(self, x: torch.Tensor) -> torch.Tensor:
    """The branches' maps, added up from rate 2 on, side by side.

    The sums are the paper's hierarchical feature fusion: they take away the
    grid that single dilated convolutions leave.
    """
    reduced = self.c1(x)
    first, *rest = (getattr(self, f'd{rate}')(reduced) for rate in _RATES)
    merged = [first, rest[0]]
    for branch in rest[1:]:
      merged.append(merged[-1] + branch)
    return torch.cat(merged, 1)


class StridedEsp(_Pyramid):
  """The ESP module that halves the size."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__(inputs, outputs, kernel=3, stride=2)
    self.bn = _norm(outputs)
    self.act = nn.PReLU(outputs)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[b inputs h w] to [b outputs h/2 w/2]."""
    return self.act(self.bn(self.pyramid(x)))


class Esp(_Pyramid):
  """The ESP module that keeps the size; residual where the channels allow."""

  def __init__(self, inputs: int, outputs: int):
    super().__init__(inputs, outputs, kernel=1, stride=1)
    self.residual = inputs == outputs
    self.bn = NormAct(outputs)

  def forward(self, x: torch.Tensor) -> torch.Tensor:
    """[b inputs h w] to [b outputs h w]."""
    merged = self.pyramid(x)
    return self.bn(x + merged if self.residual else merged)


class Encoder(nn.Module):
  """ESPNet-C: three stages, at a half, a quarter and an eighth."""

  def __init__(self, num_classes: int, p: int, q: int):
    super().__init__()
    self.level1 = ConvNormAct(3, 16, stride=2)
    self.b1 = NormAct(16 + 3)
    self.level2_0 = StridedEsp(16 + 3, 64)
    self.level2 = nn.ModuleList(Esp(64, 64) for _ in range(p))
    self.b2 = NormAct(2 * 64 + 3)
    self.level3_0 = StridedEsp(2 * 64 + 3, 128)
    self.level3 = nn.ModuleList(Esp(128, 128) for _ in range(q))
    self.b3 = NormAct(2 * 128)
    self.classifier = Conv(2 * 128, num_classes, 1)
    self.shrink = nn.AvgPool2d(3, stride=2, padding=1)

  def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Images to the maps of the stages.

    Args:
      images: float32 [b 3 h w], h and w divisible by 8.

    Returns:
      [b 16 h/2 w/2], the first layer's; [b 19 h/2 w/2], with the image beside
      it; [b 131 h/4 w/4]; [b 256 h/8 w/8].
    """
    half = self.shrink(images)
    first = self.level1(images)
    stage1 = self.b1(torch.cat([first, half], 1))
    start = x = self.level2_0(stage1)
    for module in self.level2:
      x = module(x)
    stage2 = self.b2(torch.cat([x, start, self.shrink(half)], 1))
    start = x = self.level3_0(stage2)
    for module in self.level3:
      x = module(x)
    return first, stage1, stage2, self.b3(torch.cat([start, x], 1))


def _doubled(channels: int) -> nn.ConvTranspose2d:
  """A transposed convolution that doubles height and width."""
  return nn.ConvTranspose2d(channels, channels, 2, stride=2, bias=False)


class ESPNet(nn.Module):
  """The whole network: ESPNet-C and the decoder that doubles three times.

  Args:
    num_classes: channels of the logits.
    skip_channels: what the last step of the decoder is given of the first
      stage: 19 with the image beside it, as the CamVid weights have it, 16
      without, as those of Cityscapes.
    p: ESP modules that keep the size, at a quarter.
    q: the same, at an eighth.
  """

  def __init__(
    self, num_classes: int, skip_channels: int = 19, p: int = 2, q: int = 8
  ):
    super().__init__()
    if skip_channels not in (16, 19):
      raise ValueError(f'skip_channels is {skip_channels}, not 16 or 19')
    self.skip_channels = skip_channels
    self.encoder = Encoder(num_classes, p, q)
    self.level3_C = Conv(2 * 64 + 3, num_classes, 1)
    self.br = _norm(num_classes)
    self.up_l3 = nn.Sequential(_doubled(num_classes))
    self.combine_l2_l3 = nn.Sequential(
      NormAct(2 * num_classes), Esp(2 * num_classes, num_classes)
    )
    self.up_l2 = nn.Sequential(_doubled(num_classes), NormAct(num_classes))
    self.conv = ConvNormAct(skip_channels + num_classes, num_classes, stride=1)
    self.classifier = _doubled(num_classes)

  def forward(
    self, images: torch.Tensor
  ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images to logits and inner features.

    Args:
      images: float32 [b 3 h w], normalised, h and w divisible by 8.

    Returns:
      Logits [b c h w]; the features of the third stage, [b 256 h/8 w/8], and
      of the second, [b 131 h/4 w/4].
    """
    first, stage1, stage2, stage3 = self.encoder(images)
    deep = self.up_l3(self.br(self.encoder.classifier(stage3)))
    both = torch.cat([self.level3_C(stage2), deep], 1)
    half = self.up_l2(self.combine_l2_l3(both))
    skip = stage1 if self.skip_channels == 19 else first
    logits = self.classifier(self.conv(torch.cat([half, skip], 1)))
    return logits, stage3, stage2


def from_state(state: dict[str, torch.Tensor]) -> ESPNet:
  """The network of a state dict, in evaluation mode.

  Args:
    state: name to array, as the authors published it. Classes, modules and
      decoder follow from it.

  Raises:
    KeyError, RuntimeError, TypeError, ValueError: it is not one of ESPNet.
  """
  num_classes = state['classifier.weight'].shape[1]
  skip_channels = state['conv.conv.weight'].shape[1] - num_classes
  p, q = (
    sum(n.startswith(level) and n.endswith('.d1.conv.weight') for n in state)
    for level in ('encoder.level2.', 'encoder.level3.')
  )
  network = ESPNet(num_classes, skip_channels, p, q)
  # The published files lack PyTorch's later counters of training batches.
  missing, unknown = network.load_state_dict(state, strict=False)
  missing = [n for n in missing if not n.endswith('num_batches_tracked')]
  if missing or unknown:
    raise KeyError(*missing, *unknown)
  return network.eval()
