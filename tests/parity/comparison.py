"""What the parity tests share: generic values and relative comparison."""

import dataclasses
import os

import jax
import jax.numpy as jnp
import numpy as np
import torch

from benchmarks.peers import torch_weights
from fsnet_jax.models.layers import initializers


@dataclasses.dataclass
class Agreement:
  """What the comparisons of one test came to.

  Attributes:
    arrays: how many were compared.
    worst: {tolerance: largest relative error held to it}.
  """

  arrays: int = 0
  worst: dict[float, float] = dataclasses.field(default_factory=dict)


# By test, for the table of `docs/results/parity.md`.
AGREEMENTS: dict[str, Agreement] = {}


def _note(error, relative):
  test = os.environ['PYTEST_CURRENT_TEST'].split(' ')[0].split('[')[0]
  entry = AGREEMENTS.setdefault(test, Agreement())
  entry.arrays += 1
  entry.worst[relative] = max(error, entry.worst.get(relative, 0.0))


def variables_of(module, *arrays):
  """float64 variables with no zero or one that hides a wrong connection."""
  shapes = [jax.ShapeDtypeStruct(a.shape, jnp.float32) for a in arrays]
  rng = np.random.default_rng(0)

  def draw(path, leaf):
    name = path[-1].key
    noise = rng.standard_normal(leaf.shape)
    if name == 'var':
      return 0.5 + np.abs(noise)
    if name == 'scale':
      return 1 + 0.2 * noise
    if name in ('bias', 'mean'):
      return 0.1 * noise
    return noise * np.sqrt(2 / np.prod(leaf.shape[:-1]))

  tree = initializers.host_init(module, 0, *shapes)
  return jax.tree_util.tree_map_with_path(draw, tree)


def noise(*shape, seed=1):
  """Standard normal, float64."""
  return np.random.default_rng(seed).standard_normal(shape)


def images(height, width, batch=2):
  """Random images, 0..255, float64."""
  values = np.random.default_rng(3).random((batch, height, width, 3))
  return 255 * values


def nchw(x):
  """A float64 tensor, channels first."""
  return torch.tensor(np.ascontiguousarray(np.moveaxis(np.asarray(x), -1, 1)))


def nhwc(x):
  """An array, channels last."""
  return np.moveaxis(x.detach().numpy(), 1, -1)


def assert_close(ours, theirs, what, relative):
  """Largest error, relative to the reference's largest value."""
  ours, theirs = np.asarray(ours), np.asarray(theirs)
  assert ours.shape == theirs.shape, what
  scale = np.abs(theirs).max()
  assert scale > 0, f'{what}: the reference is all zero'
  error = np.abs(ours - theirs).max() / scale
  _note(float(error), relative)
  assert error < relative, f'{what}: relative error {error:.2e}'


def assert_gradients_close(ours, model, relative):
  """Compares the gradient of every parameter with the model's `.grad`."""
  ours = torch_weights.to_torch(ours)
  theirs = {name: p.grad for name, p in model.named_parameters()}
  assert set(ours) == set(theirs)
  for name, value in ours.items():
    assert_close(value, theirs[name], name, relative)


def as_float32(tree):
  """Every array of a tree in float32."""
  return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), tree)
