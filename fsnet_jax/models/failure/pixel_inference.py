"""The per-pixel failure network as it is run once it is trained.

What standardises the maps goes into the first layer, whose other half has zeros
where the network without colour sees nothing: one product for both networks.
"""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.models.failure.pixel_maps import COLORS, PixelMaps
from fsnet_jax.models.failure.pixel_net import EPSILON, PixelFailureNet

# Pixels that a CPU takes at a time.
_CHUNK = 2048
# onnxruntime keeps channels as it likes them if their number is a multiple.
_ALIGNMENT = 4


class _Layer(NamedTuple):
  """A dense layer of both networks: a kernel and a bias of each.

  The first layer has one of each, wide enough for both.
  """

  kernels: list[Array]
  biases: list[Array]


def corrections(
  network: PixelFailureNet, variables: Mapping[str, Any], maps: PixelMaps
) -> Float[Array, 'b *n']:
  """What a trained network says, before `centred`.

  The values of `PixelFailureNet` in evaluation mode, to rounding. On a CPU a
  few thousand pixels at a time: what lies between its layers then stays in the
  cache, which takes a quarter of the time. In an ONNX file layers are 1x1
  convolutions.

  Args:
    network: says which layers there are.
    variables: of it.
    maps: [b *n ...].
  """
  layers = _folded(network, variables)
  classes = network.num_classes
  first = maps.first
  if conv_forms.writing_onnx() and first.ndim == 3:
    return _by_convolutions(layers, maps, classes)
  if not conv_forms.rewriting() or first.size <= _CHUNK:
    return _dense(layers, maps, classes)
  images = first.shape[0]
  count = first.size // images
  # Each image by itself, so that devices which share a batch have their own.
  size = max(_CHUNK // images, 1)
  chunks = -(-count // size)

  def divided(leaf: Array) -> Array:
    flat = leaf.reshape(images, count, *leaf.shape[first.ndim :])
    rest = ((0, 0),) * (flat.ndim - 2)
    flat = jnp.pad(flat, ((0, 0), (0, chunks * size - count), *rest))
    parts = flat.reshape(images, chunks, size, *flat.shape[2:])
    return jnp.moveaxis(parts, 1, 0)

  found = jax.lax.map(
    lambda part: _dense(layers, part, classes), jax.tree.map(divided, maps)
  )
  found = jnp.moveaxis(found, 0, 1).reshape(images, chunks * size)
  return found[:, :count].reshape(first.shape)


def _folded(
  network: PixelFailureNet, variables: Mapping[str, Any]
) -> list[_Layer]:
  """Its layers; the last are shares of a mean over the networks."""
  params = variables['params']
  running = variables['batch_stats']['standardization']
  mean = running['mean']
  variance = jnp.maximum(running['square'] - mean**2, 0.0)
  factor = jax.lax.rsqrt(variance + EPSILON)
  prefixes = ('', 'colorless_') if network.colorless else ('',)
  inner = [f'hidden{number}' for number in range(len(network.hidden))]
  names = [*inner, 'correction']
  found = [
    _Layer(
      [params[prefix + name]['kernel'] for prefix in prefixes],
      [params[prefix + name]['bias'] for prefix in prefixes],
    )
    for name in names
  ]
  kernels = list(found[0].kernels)
  if network.colorless:
    blind = jnp.zeros((len(COLORS), kernels[1].shape[1]))
    parts = kernels[1][: COLORS.start], blind, kernels[1][COLORS.start :]
    kernels[1] = jnp.concatenate(parts)
  kernel = jnp.concatenate(kernels, axis=1) * factor[:, None]
  bias = jnp.concatenate(found[0].biases) - mean @ kernel
  last = found[-1]
  share = 1 / len(prefixes)
  last = _Layer(
    [one * share for one in last.kernels], [one * share for one in last.biases]
  )
  return [_Layer([kernel], [bias]), *found[1:-1], last]


def _dense(
  layers: list[_Layer], maps: PixelMaps, num_classes: int
) -> Float[Array, '*b']:
  x = jnp.concatenate(
    [
      maps.scalars,
      jax.nn.one_hot(maps.first, num_classes),
      jax.nn.one_hot(maps.second, num_classes),
    ],
    axis=-1,
  )
  (kernel,), (bias,) = layers[0]
  parts = jnp.split(jax.nn.relu(x @ kernel + bias), len(layers[1].kernels), -1)
  return _deeper(layers, parts, lambda x, w, b: x @ w + b)[..., 0]


def _by_convolutions(
  layers: list[_Layer], maps: PixelMaps, num_classes: int
) -> Float[Array, 'b h w']:
  """The same from planes: onnxruntime's convolutions take them as they lie."""
  planes = [
    jnp.moveaxis(maps.scalars, -1, 1),
    jax.nn.one_hot(maps.first, num_classes, axis=1),
    jax.nn.one_hot(maps.second, num_classes, axis=1),
  ]
  (kernel,), (bias,) = layers[0]
  missing = -kernel.shape[0] % _ALIGNMENT
  if missing:
    planes.append(jnp.zeros_like(planes[0][:, :missing]))
    kernel = jnp.pad(kernel, ((0, missing), (0, 0)))
  x = jnp.concatenate(planes, axis=1)
  count = len(layers[1].kernels)
  size = kernel.shape[1] // count
  # A convolution each: a slice of a common one would be a copy.
  parts = [
    jax.nn.relu(_convolved(x, kernel[:, k : k + size], bias[k : k + size]))
    for k in range(0, count * size, size)
  ]
  return _deeper(layers, parts, _convolved)[:, 0]


def _deeper(
  layers: list[_Layer],
  parts: list[Array],
  apply: Callable[[Array, Array, Array], Array],
) -> Array:
  """What follows the first layer: the sum of both networks' last ones.

  Args:
    layers: all of them.
    parts: of each network, what its first layer made.
    apply: a layer to values, by kernel and bias.
  """
  for kernels, biases in layers[1:-1]:
    parts = [
      jax.nn.relu(apply(*one))
      for one in zip(parts, kernels, biases, strict=True)
    ]
  found = [apply(*one) for one in zip(parts, *layers[-1], strict=True)]
  return functools.reduce(operator.add, found)


def _convolved(x: Array, kernel: Array, bias: Array) -> Array:
  found = jax.lax.conv_general_dilated(
    x,
    kernel.T[:, :, None, None],
    (1, 1),
    'VALID',
    dimension_numbers=('NCHW', 'OIHW', 'NCHW'),
  )
  return found + bias[None, :, None, None]


def centred(
  corrections: Float[Array, 'b *n'],
  first: Integer[Array, 'b *n'],
  valid: Float[Array, 'b *n'],
  num_classes: int,
  share: float,
) -> Float[Array, 'b *n']:
  """Subtracts a share of what an image's pixels of one class have in common.

  Where corrections are wrong abroad they are wrong between classes and right
  within them: "all vegetation of this image is doubtful".

  Args:
    corrections: of each pixel.
    first: predicted classes.
    valid: 1 on pixels that count for the means.
    num_classes: of S.
    share: 0 leaves all as it is, 1 takes the whole mean away.
  """
  if conv_forms.writing_onnx():
    return _centred_by_products(corrections, first, valid, num_classes, share)
  if not conv_forms.rewriting():
    own = jax.nn.one_hot(first, num_classes)
    pixels = tuple(range(1, corrections.ndim))
    counted = own * valid[..., None]
    sums = jnp.sum(counted * corrections[..., None], axis=pixels, keepdims=True)
    counts = jnp.sum(counted, axis=pixels, keepdims=True)
    means = sums / jnp.maximum(counts, 1.0)
    return corrections - share * jnp.sum(own * means, axis=-1)
  # On a CPU, adding to where the class is takes less than a plane a class.
  images = corrections.shape[0]
  rows = jnp.arange(images).reshape(images, *[1] * (corrections.ndim - 1))
  segment = rows * num_classes + first

  def total(values: Array) -> Array:
    return jax.ops.segment_sum(
      values.reshape(-1), segment.reshape(-1), images * num_classes
    )

  means = total(corrections * valid) / jnp.maximum(total(valid), 1.0)
  return corrections - share * means[segment]


def _centred_by_products(
  corrections: Float[Array, 'b *n'],
  first: Integer[Array, 'b *n'],
  valid: Float[Array, 'b *n'],
  num_classes: int,
  share: float,
) -> Float[Array, 'b *n']:
  """The same by two matrix products over the pixels of an image."""
  images = corrections.shape[0]
  flat = corrections.reshape(images, -1)
  counted = valid.reshape(images, -1)
  # As the network has them, so that they are made once.
  own = jax.nn.one_hot(first, num_classes, axis=1)
  own = own.reshape(images, num_classes, -1)
  sums = own @ jnp.stack([flat * counted, counted], axis=-1)
  means = sums[..., 0] / jnp.maximum(sums[..., 1], 1.0)
  common = (means[:, None, :] @ own).reshape(flat.shape)
  return (flat - share * common).reshape(corrections.shape)
