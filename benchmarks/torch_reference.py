"""FSNet's two training steps in PyTorch, as a user of PyTorch writes them."""

import numpy as np
import torch
from torch.nn import functional

from benchmarks import torch_models

VOID = 255


class Trainer:
  """S and F, their optimisers, and one method a phase.

  Hyper-parameters are those of `fsnet_jax`'s paper protocol.
  """

  def __init__(self, settings, channels_last):
    self.segmentation = torch_models.FCN8(
      width=settings['width'],
      head_width=settings['head_width'],
      padding=settings['padding'],
      input_scale=1 / 64,
    )
    pool5 = torch_models.scaled(512, settings['width'])
    self.failure = torch_models.FailureNet(
      pool5, width=settings['width'], decoder=settings['decoder']
    )
    self.format = torch.contiguous_format
    if channels_last:
      self.format = torch.channels_last
      self.segmentation.to(memory_format=self.format)
      self.failure.to(memory_format=self.format)
    self.sgd = torch.optim.SGD(
      self.segmentation.parameters(),
      2e-4,
      momentum=0.99,
      weight_decay=5e-4,
    )
    self.adam = torch.optim.Adam(self.failure.parameters(), 2e-4)

  def step(self, phase, images, labels):
    """One update from NumPy uint8 images [b h w 3] and labels [b h w]."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float()
    x = x.contiguous(memory_format=self.format)
    target = torch.from_numpy(labels).long()
    logits, features = self.segmentation(x)
    loss = functional.cross_entropy(logits, target, ignore_index=VOID)
    self.sgd.zero_grad()
    if phase == 2:
      self.adam.zero_grad()
      failure_logits = self.failure(x, logits, features)
      loss = loss + balanced_loss(failure_logits, logits, target)
    loss.backward()
    self.sgd.step()
    if phase == 2:
      self.adam.step()
    return loss.item()


def balanced_loss(failure_logits, logits, target):
  """Class-balanced binary cross-entropy over valid pixels."""
  valid = target != VOID
  wrong = (logits.argmax(1) != target) & valid
  count = valid.sum().clamp_min(1)
  beta = (1 - wrong.sum() / count).clamp(0.5, 0.99)
  weight = torch.where(wrong, beta, 1 - beta) * valid
  losses = functional.binary_cross_entropy_with_logits(
    failure_logits, wrong.float(), weight=weight, reduction='sum'
  )
  return losses / count


def batch_of(settings):
  """A random batch: uint8 images [b h w 3] and labels [b h w]."""
  rng = np.random.default_rng(0)
  shape = (settings['batch_size'], *settings['image_size'])
  images = rng.integers(0, 256, (*shape, 3), np.uint8)
  return images, rng.integers(0, 19, shape, np.uint8)
