"""Grad-CAM of a segmentation network, by `jax.vjp` at any of its layers.

A tap adds a zero to the output of one layer. The derivative with respect to
that zero is the derivative with respect to the activation, so one forward
pass and the part of the backward pass above the layer are all it takes; no
network needs to know that it is being explained.

With A_k the activation of channel k and y a scalar (paper eq. 2, read as
Selvaraju et al., ICCV 2017, define it: the printed sum runs over the indices
that it leaves free)

  alpha_k = 1/Z sum_ij dy / dA_k(i, j),   L = ReLU(sum_k alpha_k A_k).

A dense output has no single score y. The default sums the predicted class's
logit (before softmax) over the pixels asked for: one backward pass, no label
needed, and for a 1 x 1 output exactly "the highest class". Per-class maps
share the forward pass (`class_maps`).
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from common_lib.errors import UserError
from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.sizes import grid_of
from segxal_jax.explanation.gradcam import (
  class_maps,
  initial_gradient,
  last_layer,
)

ApplyFn = Callable[[Any, Array], Array]


@dataclasses.dataclass(frozen=True)
class CamOptions:
  """How a map is formed.

  Attributes:
    method: 'gradcam' pools gradients over the image (alpha_k above);
      'hirescam' multiplies gradient and activation cell by cell (Draelos and
      Carin, 2020).
    classes: empty: the predicted-class target. Else one map for each of these
      classes over the pixels predicted as such, each scaled to [0, 1], and
      the maximum of them.
    z: 'cells' divides alpha_k by the number of cells; 'positive_sum' by the
      channel's sum of positive gradients (the paper's "typically").
    crop: the cells of the activation that tile the image: those from `crop`
      on; the rest is padding that the network added around it.
    classifier: path of the parameters of the convolution (stride 1, size
      kept) that makes the logits of the tapped layer and nothing else; its
      maps then need no backward pass (`last_layer`). Empty: no such layer.
    passes: how the backward passes of several classes run: one of
      `class_maps.FORMS`, or 'auto', by back end.
  """

  method: Literal['gradcam', 'hirescam'] = 'gradcam'
  classes: tuple[int, ...] = ()
  z: Literal['cells', 'positive_sum'] = 'cells'
  crop: int = 0
  classifier: tuple[str, ...] = ()
  passes: str = 'auto'


@dataclasses.dataclass(frozen=True)
class Explained:
  """A forward pass with its Grad-CAM.

  Attributes:
    logits: [b h w c] of the images given.
    cam: [b h w] in [0, 1]; all zero where no activation raises the target.
  """

  logits: Any
  cam: Any


def grad_cam(
  apply_fn: ApplyFn,
  variables: Any,
  images: Float[Array, 'b h w 3'],
  layer: str,
  mask: Bool[Array, 'b h w'] | None = None,
  options: CamOptions = CamOptions(),  # noqa: B008 (frozen)
) -> Float[Array, 'b h w']:
  """Which cells raise the class scores of a prediction.

  Args:
    apply_fn: (variables, images) -> logits [b h w c]; deterministic, and made
      of flax linen modules.
    variables: of the network.
    images: as the network takes them.
    layer: name of a submodule, such as 'vgg/conv5_3'; where its output is a
      dict or dataclass, with the key behind a colon: 'vgg:pool5'.
    mask: pixels whose logits count; default: all.
    options: see `CamOptions`.

  Returns:
    Maps in [0, 1], each scaled by its own extremes.

  Raises:
    UserError: there is no such layer; the message lists those there are.

  Example:
    >>> class Network(nn.Module):
    ...   @nn.compact
    ...   def __call__(self, images):
    ...     cells = nn.relu(nn.Conv(4, (3, 3), name='features')(images))
    ...     return nn.Conv(2, (1, 1), name='classifier')(cells)
    >>> images = jax.random.uniform(jax.random.key(0), (1, 8, 16, 3))
    >>> variables = Network().init(jax.random.key(1), images)
    >>> cam = grad_cam(Network().apply, variables, images, 'features')
    >>> cam.shape, float(cam.min()), round(float(cam.max()), 3)
    ((1, 8, 16), 0.0, 1.0)
  """
  return explain(apply_fn, variables, images, layer, mask, options).cam


def explain(
  apply_fn: ApplyFn,
  variables: Any,
  images: Float[Array, 'b h w 3'],
  layer: str,
  mask: Bool[Array, 'b h w'] | None = None,
  options: CamOptions = CamOptions(),  # noqa: B008 (frozen)
) -> Explained:
  """`grad_cam` with the logits of the same pass."""
  if options.classifier and (options.method, options.z) == ('gradcam', 'cells'):
    return _explain_classifier(
      apply_fn, variables, images, layer, mask, options
    )
  size = grid_of(images)
  zero = _activation(apply_fn, variables, images, layer)

  def forward(delta):
    logits, activation, head = _run_tapped(
      apply_fn, variables, images, layer, delta
    )
    if head is None:
      return logits, (logits, activation, None)
    return head.features, (logits, activation, head.kernel)

  output, pull_back, aux = jax.vjp(forward, zero, has_aux=True)
  logits, activation, kernel = aux
  winner = _winner(logits, mask)

  def class_map(index=None):
    """CAM of the predicted classes' logits, or of one class's."""
    seed = _seed(kernel, winner, index, logits.shape[-1])
    (gradient,) = pull_back(seed.astype(output.dtype))
    cam = _combine(gradient, activation, options)
    return unit_range(_to_image(cam, options.crop, size))

  if not options.classes:
    return Explained(logits, class_map())
  maps = class_maps.each(class_map, jnp.array(options.classes), options.passes)
  return Explained(logits, jnp.max(maps, axis=0))


def _explain_classifier(
  apply_fn: ApplyFn,
  variables: Any,
  images: Array,
  layer: str,
  mask: Array | None,
  options: CamOptions,
) -> Explained:
  """`explain` at the input of the classifier, in closed form."""
  logits, activation = tapped(apply_fn, variables, images, layer)
  kernel = variables['params']
  for name in (*options.classifier, 'kernel'):
    kernel = kernel[name]
  cam = classifier_cam(logits, activation, kernel, mask, options.classes)
  return Explained(logits, cam)


def classifier_cam(
  logits: Float[Array, 'b h w c'],
  activation: Float[Array, 'b ah aw k'],
  kernel: Float[Array, 'kh kw k c'],
  mask: Bool[Array, 'b h w'] | None = None,
  classes: tuple[int, ...] = (),
) -> Float[Array, 'b h w']:
  """Grad-CAM at the input of the convolution that makes the logits.

  A 1x1 convolution's logits may have been enlarged to the image by an
  interpolation, whose weights sum to 1 for each pixel: what a pixel gives to
  all cells together is then as without it.

  Args:
    logits: of the network.
    activation: that the convolution is applied to.
    kernel: of the convolution.
    mask: see `grad_cam`.
    classes: see `CamOptions`.

  Returns:
    Maps in [0, 1], each scaled by its own extremes.
  """
  winner, size = _winner(logits, mask), grid_of(logits)
  hits = jax.nn.one_hot(winner, logits.shape[-1], dtype=bool)
  if not classes:
    cam = last_layer.summed_map(activation, kernel, hits)
    return unit_range(_to_image(cam, 0, size))
  chosen = jnp.array(classes)
  maps = last_layer.class_maps(
    activation, kernel[..., chosen], hits[..., chosen]
  )
  maps = [_to_image(maps[:, i], 0, size) for i in range(len(classes))]
  return jnp.max(unit_range(jnp.stack(maps)), axis=0)


def _winner(logits: Array, mask: Array | None) -> Array:
  """[b h w]: the predicted class; c, which none is, where it does not count."""
  winner = jnp.argmax(logits, axis=-1)
  return winner if mask is None else jnp.where(mask, winner, logits.shape[-1])


def _seed(kernel: Any, winner: Array, index: Any, classes: int) -> Array:
  """Where a backward pass begins: at the head's input, or at the logits."""
  if kernel is not None:
    seed = (
      initial_gradient.predicted_seed(kernel, winner)
      if index is None
      else initial_gradient.class_seed(kernel, winner, index)
    )
    return _unfused(seed)
  hits = jax.nn.one_hot(winner, classes)
  if index is None:
    return hits
  return hits * jax.nn.one_hot(index, classes)


def _unfused(seed: Array) -> Array:
  """The same, held apart from what comes next.

  XLA's CPU back end would fuse the look-ups into it and take five times as
  long. It removes a barrier before it fuses; a product with the identity stays.
  """
  if not conv_forms.rewriting():
    return seed
  return jnp.einsum('bhwk,kl->bhwl', seed, jnp.eye(seed.shape[-1]))


def tapped(
  apply_fn: ApplyFn,
  variables: Any,
  images: Float[Array, 'b h w 3'],
  layer: str,
) -> tuple[Float[Array, 'b h w c'], Float[Array, 'b ah aw k']]:
  """Logits and the activation of a layer, without any backward pass.

  Raises:
    UserError: as `grad_cam`.
  """
  zero = _activation(apply_fn, variables, images, layer)
  return _run_tapped(apply_fn, variables, images, layer, zero)[:2]


def unit_range(maps: Float[Array, '*b h w']) -> Float[Array, '*b h w']:
  """Scales each map to [0, 1] by its own extremes.

  A map without contrast, all zero above all, and one that holds NaN become
  zero: there is nothing to see in them.
  """
  low = jnp.min(maps, axis=(-2, -1), keepdims=True)
  span = jnp.max(maps, axis=(-2, -1), keepdims=True) - low
  usable = jnp.isfinite(span) & (span > 0)
  scaled = (maps - low) / jnp.where(usable, span, 1.0)
  return jnp.where(usable, scaled, 0.0)


def _combine(gradient: Array, activation: Array, options: CamOptions) -> Array:
  """[b ah aw] before scaling."""
  gradient = gradient.astype(jnp.float32)
  activation = activation.astype(jnp.float32)
  if options.method == 'hirescam':
    return nn.relu(jnp.sum(gradient * activation, axis=-1))
  if options.method != 'gradcam':
    raise ValueError(f'unknown Grad-CAM method {options.method!r}')
  total = jnp.sum(gradient, axis=(1, 2))
  if options.z == 'positive_sum':
    positive = jnp.sum(nn.relu(gradient), axis=(1, 2))
    alpha = total / jnp.where(positive > 0, positive, 1.0)
  else:
    alpha = total / (gradient.shape[1] * gradient.shape[2])
  return nn.relu(jnp.einsum('bhwk,bk->bhw', activation, alpha))


def _to_image(cam: Array, crop: int, size: tuple[int, int]) -> Array:
  """The cells that tile the image, enlarged to its size."""
  if crop:
    cells = [max(1, n - 2 * crop) for n in cam.shape[1:]]
    cam = cam[:, crop : crop + cells[0], crop : crop + cells[1]]
  return jax.image.resize(cam, (cam.shape[0], *size), 'linear')


def _activation(apply_fn: ApplyFn, variables: Any, images: Any, layer: str):
  """Zeros like the layer's output; also checks that there is one."""
  seen: dict[str, Any] = {}

  def record(next_fn, args, kwargs, context):
    output = next_fn(*args, **kwargs)
    for name, leaf in _named(context, output):
      seen.setdefault(name, leaf)
    return output

  def forward(variables, images):
    with nn.intercept_methods(record):
      apply_fn(variables, images)
    return seen.get(layer)

  shape = jax.eval_shape(forward, variables, images)
  if shape is None:
    raise UserError(
      f'The network has no layer {layer!r}: choose one of '
      f'{", ".join(sorted(seen))}.'
    )
  return jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shape)


def _run_tapped(
  apply_fn: ApplyFn, variables: Any, images: Any, layer: str, delta: Any
) -> tuple[Any, Any, initial_gradient.Head | None]:
  """Logits with `delta` added to the layer, its own output, and the head."""
  found = []
  finder = initial_gradient.Finder()

  def add(next_fn, args, kwargs, context):
    output = next_fn(*args, **kwargs)
    finder.see(context, args, output)
    if found or not any(name == layer for name, _ in _named(context, output)):
      return output
    leaves, tree = jax.tree.flatten(output)
    for index, (name, leaf) in enumerate(_paths(context, output)):
      if name == layer:
        found.append(leaf)
        leaves[index] = leaf + delta
    return jax.tree.unflatten(tree, leaves)

  with nn.intercept_methods(add):
    logits = apply_fn(variables, images)
  head = finder.head(logits)
  return logits, jax.lax.stop_gradient(found[0]), head


def _named(context: Any, output: Any) -> list[tuple[str, Any]]:
  """Names of the maps [b h w k] among a module call's outputs."""
  if context.method_name != '__call__' or not context.module.path:
    return []
  return [
    (name, leaf)
    for name, leaf in _paths(context, output)
    if getattr(leaf, 'ndim', 0) == 4
  ]


def _paths(context: Any, output: Any) -> list[tuple[str, Any]]:
  """A name for each leaf of a module call's output."""
  module = '/'.join(context.module.path)
  named = []
  for path, leaf in jax.tree_util.tree_flatten_with_path(output)[0]:
    keys = '.'.join(_key(entry) for entry in path)
    named.append((f'{module}:{keys}' if keys else module, leaf))
  return named


def _key(entry: Any) -> str:
  """The key of one step of a pytree path."""
  for name in ('key', 'name', 'idx'):
    if hasattr(entry, name):
      return str(getattr(entry, name))
  return str(entry)
