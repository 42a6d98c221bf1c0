"""A small segmentation network in PyTorch, and how it is trained.

0.2 million parameters: what a laptop trains in minutes. It stands for a user's
own network, of which this project knows nothing but its outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from common_lib.class_table import VOID
from examples.model_files import InputFormat

# The usual numbers of ImageNet, in the order of RGB.
INPUT = InputFormat(
  color='RGB',
  scale=255.0,
  mean=(0.485, 0.456, 0.406),
  std=(0.229, 0.224, 0.225),
)
OUTPUTS = ('logits', 'features')
_WIDTHS = (16, 32, 64)
_PEAK_RATE = 4e-3


def _block(inputs: int, outputs: int, stride: int = 1, rate: int = 1):
  """A 3x3 convolution, batch normalisation and ReLU."""
  return nn.Sequential(
    nn.Conv2d(
      inputs, outputs, 3, stride, padding=rate, dilation=rate, bias=False
    ),
    nn.BatchNorm2d(outputs),
    nn.ReLU(),
  )


class SmallNetwork(nn.Module):
  """A U-Net (Ronneberger et al., MICCAI 2015) that starts at half the size.

  Args:
    num_classes: channels of the logits.
  """

  def __init__(self, num_classes: int):
    super().__init__()
    half, quarter, eighth = _WIDTHS
    self.at_half = nn.Sequential(_block(3, half, 2), _block(half, half))
    self.at_quarter = nn.Sequential(
      _block(half, quarter, 2), _block(quarter, quarter)
    )
    # Dilated, so that it sees more of the street than its depth allows.
    self.at_eighth = nn.Sequential(
      _block(quarter, eighth, 2),
      *(_block(eighth, eighth, rate=rate) for rate in (2, 4, 8)),
    )
    self.up_quarter = nn.ConvTranspose2d(eighth, eighth, 2, 2)
    self.merge_quarter = _block(eighth + quarter, quarter)
    self.up_half = nn.ConvTranspose2d(quarter, quarter, 2, 2)
    self.merge_half = _block(quarter + half, quarter)
    self.classifier = nn.Conv2d(quarter, num_classes, 1)

  def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Images to logits and features.

    Args:
      images: float32 [b 3 h w], of `INPUT`, h and w divisible by 8.

    Returns:
      Logits [b c h w], and the features that the linear classifier is given,
      [b 32 h/2 w/2].
    """
    half = self.at_half(images)
    quarter = self.at_quarter(half)
    deep = self.up_quarter(self.at_eighth(quarter))
    quarter = self.merge_quarter(torch.cat([deep, quarter], 1))
    features = self.merge_half(torch.cat([self.up_half(quarter), half], 1))
    logits = functional.interpolate(
      self.classifier(features), scale_factor=2, mode='bilinear'
    )
    return logits, features


def train(
  images: np.ndarray,
  labels: np.ndarray,
  num_classes: int,
  steps: int,
  tell: Callable[[str], None],
  batch_size: int = 8,
) -> SmallNetwork:
  """Trains a network from random weights, the same ones at every call.

  Cross-entropy over the pixels that have a class, AdamW, a one-cycle learning
  rate (Smith and Topin 2018), images mirrored at random.

  Args:
    images: uint8 [n h w 3], RGB.
    labels: uint8 [n h w], class indices, 255 where there is none.
    num_classes: of the labels.
    steps: gradient steps, at least 1.
    tell: is given a line of progress ten times.
    batch_size: images a step.

  Returns:
    The network, in evaluation mode.
  """
  torch.manual_seed(0)
  random = np.random.default_rng(0)
  network = SmallNetwork(num_classes).train()
  optimizer = torch.optim.AdamW(network.parameters(), weight_decay=1e-4)
  schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, _PEAK_RATE, total_steps=steps + 1
  )
  for step in range(1, steps + 1):
    chosen = random.integers(len(images), size=batch_size)
    x, y = images[chosen], labels[chosen]
    if random.random() < 0.5:
      x, y = x[:, :, ::-1], y[:, :, ::-1]
    logits, _ = network(torch.from_numpy(INPUT.apply(x)))
    loss = _loss(logits, torch.from_numpy(y.astype(np.int64, order='C')))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    schedule.step()
    if step % max(steps // 10, 1) == 0:
      tell(f'step {step} of {steps}: loss {loss.item():.3f}')
  return network.eval()


def _loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
  """Mean cross-entropy of the labelled pixels; 0 where there are none."""
  total = functional.cross_entropy(
    logits, labels, ignore_index=VOID, reduction='sum'
  )
  return total / (labels != VOID).sum().clamp(min=1)


def predict(
  network: SmallNetwork, images: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Runs a trained network.

  Args:
    network: in evaluation mode.
    images: uint8 [b h w 3], RGB, h and w divisible by 8.

  Returns:
    Logits float32 [b h w c], features float32 [b h/2 w/2 k].
  """
  with torch.inference_mode():
    logits, features = network(torch.from_numpy(INPUT.apply(images)))
  return _channels_last(logits), _channels_last(features)


def _channels_last(x: torch.Tensor) -> np.ndarray:
  return np.ascontiguousarray(x.numpy().transpose(0, 2, 3, 1))


def accuracy(
  network: SmallNetwork, images: np.ndarray, labels: np.ndarray
) -> float:
  """Share of the labelled pixels that are classified correctly.

  Args:
    network: in evaluation mode.
    images: uint8 [n h w 3].
    labels: uint8 [n h w], 255 = void.
  """
  correct = counted = 0
  for image, label in zip(images, labels):
    found = predict(network, image[None])[0][0].argmax(-1)
    correct += int((found == label)[label != VOID].sum())
    counted += int((label != VOID).sum())
  return correct / max(counted, 1)
