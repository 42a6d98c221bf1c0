"""What the parity tests of depth networks share: sizes, draws, comparisons."""

import jax.numpy as jnp
import numpy as np
import torch

from segxal_jax.depth.networks import convert, vit
from tests.fsnet_jax.models import quick
from tests.parity import comparison

RELATIVE = 3e-5
WIDTH, DEPTH, HEADS, TAPS = 32, 4, 2, (0, 1, 2, 3)
CHANNELS = (8, 16, 24, 40)
DINOV2 = {
  'width': WIDTH,
  'depth': DEPTH,
  'heads': HEADS,
  'taps': TAPS,
  'grid': 4,
}


def randomise(model):
  """Draws every parameter, so that none is a zero or one that hides a bug."""
  generator = torch.Generator().manual_seed(0)
  with torch.no_grad():
    for name, parameter in model.named_parameters():
      noise = torch.randn(parameter.shape, generator=generator)
      if parameter.ndim > 1 and 'embed' not in name and 'token' not in name:
        noise *= (2 / np.prod(parameter.shape[1:])) ** 0.5
      elif name.endswith('bias'):
        noise = 0.2 * noise + 0.2
      elif parameter.ndim == 1:
        noise = 1 + 0.3 * noise
      parameter.copy_(noise)
  return model.eval()


def lift(model, last, size):
  """Shifts the map so that its ReLU cuts off a tenth, not all, of it."""
  seen = []
  handle = last.register_forward_hook(lambda *call: seen.append(call[2]))
  with torch.no_grad():
    model(nchw(images(*size)))
    last.bias -= seen[0].quantile(0.1)
  handle.remove()


def images(height, width):
  """Two float32 images."""
  return comparison.noise(2, height, width, 3).astype(np.float32)


def nchw(x):
  """As PyTorch has them."""
  return comparison.nchw(x).float()


def apply(network, variables, images):
  """The network's output and taps, from one program."""

  @quick.jit
  def run(variables, images):
    taps = network.backbone.apply(part(variables, 'backbone'), images)
    return network.head.apply(part(variables, 'head'), taps), taps

  return run(variables, images)


def part(variables, name):
  """The variables of a submodule."""
  return {kind: tree.get(name, {}) for kind, tree in variables.items()}


def assert_map(ours, theirs, what='depth'):
  """Agreement of maps that are not mostly what a ReLU cut off."""
  assert (theirs > 0).mean() > 0.5
  comparison.assert_close(ours, theirs, what, RELATIVE)


def assert_taps(taps, theirs):
  """The backbone's outputs agree."""
  for index, (tap, expected) in enumerate(zip(taps, theirs, strict=True)):
    b, h, w, k = tap.grid.shape
    expected = expected.detach().numpy()
    if tap.token is None:
      tokens, expected = tap.grid, np.moveaxis(expected, 1, -1)
    else:
      tokens = tap.grid.reshape(b, h * w, k)
      tokens = jnp.concatenate([tap.token[:, None], tokens], axis=1)
    comparison.assert_close(tokens, expected, f'tap {index}', RELATIVE)


def midas_vit(**settings):
  """A vision transformer as MiDaS has it."""
  return vit.ViT(
    width=WIDTH,
    depth=DEPTH,
    heads=HEADS,
    grid=4,
    positions='bilinear',
    scaled=False,
    **settings,
  )


def load_authors(network, tables, *paths, image_size=(224, 224)):
  """Reads the authors' files with the last of `tables`."""
  tensors = convert.read_files(paths)
  naming = convert.find_naming(tensors, tables, 'the file')
  assert naming is tables[-1]
  return convert.convert(tensors, network, naming, 'the file', image_size)
