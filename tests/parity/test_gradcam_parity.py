"""Grad-CAM against PyTorch's autograd, on the same U-Net with one's weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.peers import torch_unet, torch_weights
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.segmentation import unet
from segxal_jax.explanation.gradcam import core
from tests.fsnet_jax.models import quick
from tests.parity import comparison

SIZE = (32, 48)
SETTINGS = {'num_classes': 5, 'width': 1 / 64}


def _reference(model, images, method, classes):
  """Grad-CAM as its paper writes it, by autograd."""
  logits, levels, _ = model(comparison.nchw(images))
  activation = levels[-1]
  winner = logits.argmax(1)
  targets = classes or [None]
  maps = []
  for index in targets:
    hits = torch.ones_like(winner) if index is None else (winner == index)
    best = logits.gather(1, winner[:, None])[:, 0]
    score = (best * hits).sum()
    (gradient,) = torch.autograd.grad(score, activation, retain_graph=True)
    if method == 'gradcam':
      gradient = gradient.mean((2, 3), keepdim=True)
    cam = functional.relu((gradient * activation).sum(1, keepdim=True))
    cam = functional.interpolate(
      cam, SIZE, mode='bilinear', align_corners=False
    )[:, 0]
    low, high = cam.amin((1, 2), True), cam.amax((1, 2), True)
    span = high - low
    maps.append(torch.where(span > 0, (cam - low) / span.clamp_min(1e-30), 0.0))
  return torch.stack(maps).amax(0).detach().numpy()


@pytest.mark.parametrize('method', ['gradcam', 'hirescam'])
@pytest.mark.parametrize('classes', [(), (0, 1, 2, 3, 4)])
def test_grad_cam_equals_autograd(method, classes):
  network = unet.UNet(**SETTINGS)
  with jax.enable_x64(True):
    images = comparison.images(*SIZE)
    variables = comparison.variables_of(network, images)
    model = torch_unet.UNet(**SETTINGS).double().eval()
    torch_weights.load(model, variables['params'], variables['batch_stats'])
    expected = _reference(model, images, method, classes)
  single = comparison.as_float32((variables, jnp.asarray(images)))
  options = core.CamOptions(method, classes)

  def run(variables, images):
    def apply(variables, images):
      return network.apply(variables, images).logits

    return core.grad_cam(apply, variables, images, 'down5', None, options)

  with conv_forms.use('plain'):
    ours = quick.jit(run)(*single)
  assert np.ptp(expected) > 0.5
  comparison.assert_close(ours, expected, 'map', 1e-4)
