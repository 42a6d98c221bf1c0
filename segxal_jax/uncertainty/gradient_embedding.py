"""Gradient embeddings: what an image would change in the last layer.

The loss is the cross-entropy against the network's own prediction, as BADGE
has it, averaged over the usable pixels. Only the classifier's kernel is
differentiated, so the backward pass is that of one layer, for any network.
A kernel of many entries is sketched: with Rademacher matrices A and B,
z_d = sum_ij A_id G_ij B_jd / sqrt(d) keeps inner products on average,
whatever the size of the kernel, and memory stays at d numbers an image.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from common_lib.errors import UserError

# The layers that make the class scores: by `config.segmentation.name`.
_CLASSIFIERS = {
  'fcn8': ('score_fr',),
  'unet': ('score',),
  'deeplab_v2': ('classifier',),
  'efficientnet_unet': ('score',),
}
_SKETCH_SEED = 7


@dataclasses.dataclass(frozen=True)
class GradientOptions:
  """What is differentiated, and how far it is shortened.

  Attributes:
    classifier: path of the layer among S's parameters.
    dims: length of the vector; kernels of up to so many entries are kept
      whole.
  """

  classifier: tuple[str, ...]
  dims: int


def classifier(network: str, head: str) -> tuple[str, ...]:
  """Path of the parameters of the layer that makes the class scores.

  Args:
    network: name of S.
    head: `config.segmentation.head`, which DeepLabV2 looks at.

  Raises:
    UserError: the network has not one such layer.
  """
  several = network == 'deeplab_v2' and head == 'v2'
  if network not in _CLASSIFIERS or several:
    raise UserError(
      'config.acquisition.strategy=badge needs one layer that makes the class '
      f'scores, which segmentation.name={network} has not: choose '
      "another network, or config.segmentation.head='synthcp'."
    )
  return _CLASSIFIERS[network]


def embed(
  apply_fn: Callable[..., Array],
  variables: Any,
  images: Float[Array, 'b h w 3'],
  usable: Bool[Array, 'b h w'],
  options: GradientOptions,
) -> Float[Array, 'b d']:
  """A vector an image; an image without a usable pixel gets zeros.

  Args:
    apply_fn: (variables, images) -> logits, in evaluation mode.
    variables: of the network.
    images: as the network takes them.
    usable: pixels that count.
    options: see `GradientOptions`.
  """
  path = (*options.classifier, 'kernel')
  kernel = _get(variables['params'], path)

  def loss(kernel, image, mask):
    changed = _replaced(variables['params'], path, kernel)
    logits = apply_fn({**variables, 'params': changed}, image[None])[0]
    target = jax.lax.stop_gradient(jnp.argmax(logits, axis=-1))
    losses = -jnp.take_along_axis(
      jax.nn.log_softmax(logits), target[..., None], axis=-1
    )[..., 0]
    return jnp.sum(jnp.where(mask, losses, 0.0)) / jnp.maximum(mask.sum(), 1)

  def one(arguments):
    gradient = jax.grad(loss)(kernel, *arguments)
    return sketch(gradient.reshape(-1, gradient.shape[-1]), options.dims)

  # One image at a time: a batched weight gradient is as much work and far
  # more memory.
  return jax.lax.map(one, (images, usable))


def sketch(gradient: Float[Array, 'k c'], dims: int) -> Float[Array, ' d']:
  """The matrix as a vector of at most `dims` numbers; see the module."""
  rows, columns = gradient.shape
  if rows * columns <= dims:
    return gradient.reshape(-1)
  keys = jax.random.split(jax.random.key(_SKETCH_SEED))
  left = jax.random.rademacher(keys[0], (rows, dims), gradient.dtype)
  right = jax.random.rademacher(keys[1], (columns, dims), gradient.dtype)
  return jnp.sum((gradient @ right) * left, axis=0) / jnp.sqrt(dims)


def _get(tree: Any, path: tuple[str, ...]) -> Any:
  for name in path:
    tree = tree[name]
  return tree


def _replaced(tree: Any, path: tuple[str, ...], value: Any) -> Any:
  """A copy of nested dicts with one leaf replaced."""
  if not path:
    return value
  return {**tree, path[0]: _replaced(tree[path[0]], path[1:], value)}
