"""Grad-CAM and SegXAL's score in PyTorch, written to be fast.

No parameter asks for a gradient and the tapped activation is a leaf, so the
backward pass ends there; it costs what it must. All class maps share one
forward pass.
"""

import math

import torch
from torch.nn import functional

from benchmarks.peers import torch_unet, torch_weights


class Explainer:
  """A U-Net, and what is asked of it; results are NumPy arrays.

  Attributes:
    tasks: name -> function of no argument.
  """

  def __init__(self, settings, variables, batch, channels_last):
    self.classes = settings['classes']
    model = torch_unet.UNet(self.classes, settings['width'])
    torch_weights.load(model, variables['params'], variables['batch_stats'])
    self.format = torch.contiguous_format
    if channels_last:
      self.format = torch.channels_last
      model.to(memory_format=self.format)
    self.model = model.eval().requires_grad_(False)
    self.image = torch.from_numpy(batch['image']).permute(0, 3, 1, 2)
    self.near = torch.from_numpy(batch['near'])
    self.usable = torch.from_numpy(batch['usable'])
    self.tasks = {
      'forward': self.forward,
      'map': lambda: self.predicted(self.images()).numpy(),
      'score': self.score,
      'classes': self.every_class,
      'last': self.last_layer,
      'last by passes': lambda: self.every_class(last=True),
    }

  def images(self):
    """[b 3 h w] float32."""
    return self.image.float().contiguous(memory_format=self.format)

  def forward(self):
    """Logits [b c h w]."""
    with torch.inference_mode():
      return self.model(self.images())[0].numpy()

  def tapped(self, images, last=False):
    """Logits, and the leaf that they are differentiable in."""
    layer = self.model.get_submodule('block1' if last else 'down5')
    found = []

    def tap(module, inputs, output):
      found.append(output.detach().requires_grad_())
      return found[0]

    handle = layer.register_forward_hook(tap)
    logits = self.model(images)[0]
    handle.remove()
    return logits, found[0]

  def predicted(self, images):
    """The map of the predicted classes' logits [b h w]."""
    logits, leaf = self.tapped(images)
    target = logits.amax(1).sum()
    (gradient,) = torch.autograd.grad(target, leaf)
    return finished(gradient.mean((2, 3)), leaf.detach(), images.shape[2:])

  def score(self):
    """One number an image: the mean of PAE and entropy."""
    images = self.images()
    with torch.inference_mode():
      uncertainty = entropy(self.model(images)[0])
    cam = self.predicted(images * self.near[:, None])
    mask = 0.5 * cam + 0.5 * uncertainty
    total = (mask * self.usable).sum((1, 2))
    return (total / self.usable.sum((1, 2))).numpy()

  def every_class(self, last=False):
    """The maximum of all classes' maps [b h w]."""
    images = self.images()
    logits, leaf = self.tapped(images, last)
    best, winner = logits.max(1)
    result = None
    for index in range(self.classes):
      target = (best * (winner == index)).sum()
      (gradient,) = torch.autograd.grad(target, leaf, retain_graph=True)
      alpha = gradient.mean((2, 3))
      cam = finished(alpha, leaf.detach(), images.shape[2:])
      result = cam if result is None else torch.maximum(result, cam)
    assert result is not None  # There is a class.
    return result.numpy()

  @torch.inference_mode()
  def last_layer(self):
    """As `every_class` at the last block, without a backward pass."""
    images = self.images()
    logits, _, features = self.model(images)
    winner = logits.argmax(1)
    hits = functional.one_hot(winner, self.classes).permute(0, 3, 1, 2).float()
    kernel = self.model.score.weight
    height, width = winner.shape[1:]
    alpha = 0.0
    for i, rows in enumerate((slice(1, None), slice(None), slice(None, -1))):
      for j, columns in enumerate(
        (slice(1, None), slice(None), slice(None, -1))
      ):
        count = hits[:, :, rows, columns].sum((2, 3))
        alpha = alpha + count[..., None] * kernel[None, :, :, i, j]
    alpha = alpha / (height * width)
    maps = torch.einsum('bkhw,bck->bchw', features, alpha).relu()
    return unit_range(maps).amax(1).numpy()


def finished(alpha, activation, size):
  """Weights [b k] and activation [b k h w] -> maps in [0, 1]."""
  cam = torch.einsum('bkhw,bk->bhw', activation, alpha).relu()
  if cam.shape[1:] != size:
    cam = functional.interpolate(
      cam[:, None], size, mode='bilinear', align_corners=False
    )[:, 0]
  return unit_range(cam)


def unit_range(maps):
  """Each map by its own extremes; one without contrast becomes zero."""
  low, high = maps.amin((-2, -1), True), maps.amax((-2, -1), True)
  span = high - low
  usable = torch.isfinite(span) & (span > 0)
  scaled = (maps - low) / torch.where(usable, span, 1.0)
  return torch.where(usable, scaled, 0.0)


def entropy(logits):
  """Entropy of the softmax over classes, over the uniform one's [b h w]."""
  logs = torch.log_softmax(logits, 1)
  return -(logs.exp() * logs).sum(1) / math.log(logits.shape[1])
