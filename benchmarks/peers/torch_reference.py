"""FSNet's two training steps in PyTorch, as a user of PyTorch writes them."""

import torch
from torch.nn import functional

from benchmarks.peers import torch_deeplab, torch_models, torch_unet

VOID = 255


class Trainer:
  """S and F, their optimisers, and one method a phase.

  Hyper-parameters are those of `fsnet_jax`'s paper protocol. On a GPU where
  there is one.

  Args:
    settings: as `benchmarks.subjects.steppers` describes it; with dtype
      bfloat16, forward passes are under automatic mixed precision.
    channels_last: the memory format of images and weights.
    compiled: the forward pass and the losses through `torch.compile`, and
      their gradients with them.
  """

  def __init__(self, settings, channels_last, compiled=False):
    self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
    self.segmentation, channels, stride = _segmentation(settings)
    self.failure = torch_models.FailureNet(
      channels,
      width=settings['width'],
      decoder=settings['decoder'],
      z_stride=stride,
    )
    self.format = (
      torch.channels_last if channels_last else torch.contiguous_format
    )
    for network in (self.segmentation, self.failure):
      network.to(device=self.device, memory_format=self.format)
    self.sgd = torch.optim.SGD(
      self.segmentation.parameters(),
      2e-4,
      momentum=0.99,
      weight_decay=5e-4,
    )
    self.adam = torch.optim.Adam(self.failure.parameters(), 2e-4)
    self.gradient_norm = None
    self.mixed = settings['dtype'] == 'bfloat16'
    self.loss = torch.compile(self._loss) if compiled else self._loss

  def on_device(self, images, labels):
    """NumPy uint8 images [b h w 3] and labels [b h w], as tensors."""
    x = torch.from_numpy(images).to(self.device).permute(0, 3, 1, 2)
    return x, torch.from_numpy(labels).to(self.device).long()

  def step(self, phase, images, target, norm=True):
    """One update from what `on_device` gave; its loss.

    Args:
      phase: 1 or 2.
      images: of `on_device`.
      target: likewise.
      norm: whether `gradient_norm` is that of this step's gradient.
    """
    self.sgd.zero_grad()
    if phase == 2:
      self.adam.zero_grad()
    with torch.autocast(self.device, torch.bfloat16, enabled=self.mixed):
      loss = self.loss(phase, images, target)
    loss.backward()
    if norm:
      self.gradient_norm = self._gradient_norm(phase)
    self.sgd.step()
    if phase == 2:
      self.adam.step()
    return loss.item()

  def _gradient_norm(self, phase):
    """The norm over all that the phase trains."""
    networks = (self.segmentation, self.failure)[:phase]
    found = [p.grad for network in networks for p in network.parameters()]
    return torch.nn.utils.get_total_norm([g for g in found if g is not None])

  def _loss(self, phase, images, target):
    x = images.float().contiguous(memory_format=self.format)
    logits, features = self.segmentation(x)[:2]
    if isinstance(features, (list, tuple)):
      features = features[-1]
    loss = functional.cross_entropy(logits.float(), target, ignore_index=VOID)
    if phase == 2:
      failure_logits = self.failure(x, logits, features)
      loss = loss + balanced_loss(failure_logits.float(), logits, target)
    return loss


def _segmentation(settings):
  """S, the channels of S_E(x) and its stride."""
  width = settings['width']
  if settings['network'] == 'deeplab_v2':
    network = torch_deeplab.DeepLabV2(width=width, blocks=settings['blocks'])
    return network, 4 * torch_models.scaled(512, width), 8
  if settings['network'] == 'efficientnet_unet':
    # Its encoder is of a package that few have.
    from benchmarks.peers import torch_efficientnet

    return torch_efficientnet.EfficientNetUNet(), 320, 32
  if settings['network'] == 'unet':
    channels = torch_models.scaled(torch_unet.CHANNELS[-1], width)
    return torch_unet.UNet(width=width), channels, 16
  network = torch_models.FCN8(
    width=width,
    head_width=settings['head_width'],
    padding=settings['padding'],
    input_scale=1 / 64,
  )
  return network, torch_models.scaled(512, width), 32


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
