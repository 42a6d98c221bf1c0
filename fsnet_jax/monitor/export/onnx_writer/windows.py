"""Convolutions and pooling as ONNX operators, which want channels second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fsnet_jax.monitor.export.onnx_writer.channel_affine import Convolved
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import Graph
from fsnet_jax.monitor.export.onnx_writer.primitives import Pieces

# Channels that a convolution takes as they lie.
_FEW = 16


def _permuted(graph: Graph, name: str, permutation: Sequence[int]) -> str:
  if list(permutation) == sorted(permutation):
    return name
  return graph.op('Transpose', name, perm=list(permutation))


def _inverse(permutation: Sequence[int]) -> list[int]:
  return [int(place) for place in np.argsort(permutation)]


def convolution(graph, names, ins, outs, params):
  """`conv_general_dilated` of images, transposed ones included."""
  del outs
  numbers = params['dimension_numbers']
  if params['batch_group_count'] != 1 or len(ins[0].shape) != 4:
    raise NotImplementedError('a convolution of another kind than of images')
  image = _permuted(graph, names[0], numbers.lhs_spec)
  kernel = _permuted(graph, names[1], numbers.rhs_spec)
  sides = [ins[1].shape[axis] for axis in numbers.rhs_spec[2:]]
  low, high = zip(*params['padding'], strict=True)
  dilations = list(params['rhs_dilation'])
  group = params['feature_group_count']
  if any(step != 1 for step in params['lhs_dilation']):
    found = _transposed(
      graph, image, kernel, sides, low, high, dilations, group, params
    )
  else:
    whole = image
    image, low, high = _cropped(graph, image, low, high)
    attributes = {
      'kernel_shape': sides,
      'strides': list(params['window_strides']),
      'pads': [*low, *high],
      'dilations': dilations,
      'group': group,
    }
    weights = graph.array(names[1])
    if weights is not None and _inverse(numbers.out_spec) == [0, 2, 3, 1]:
      weights = np.transpose(weights, numbers.rhs_spec)
      parts = _parts(graph, names[0], weights, numbers.lhs_spec)
      if image != whole or group != 1 or not parts:
        parts = ((image, weights),)
      return Convolved(parts, attributes).write(graph)
    found = graph.op('Conv', image, kernel, **attributes)
  return _permuted(graph, found, _inverse(numbers.out_spec))


def _parts(
  graph: Graph, name: str, kernel: np.ndarray, permutation: Sequence[int]
) -> tuple[tuple[str, np.ndarray], ...]:
  """A convolution over pieces side by side as one over each of them.

  onnxruntime keeps channels by the dozen and does not take numbers that are no
  multiple of four: over 39 channels it takes twice as long as over 32 and 7.
  """
  pieces, channels = graph.notes.get(name), kernel.shape[1]
  odd = channels > _FEW and channels % 4 != 0
  if not odd or not isinstance(pieces, Pieces):
    return ()
  if pieces.axis != permutation[1]:
    return ()
  ends = np.cumsum(pieces.sizes)
  return tuple(
    (_permuted(graph, piece, permutation), kernel[:, end - size : end])
    for piece, size, end in zip(pieces.names, pieces.sizes, ends, strict=True)
  )


def _cropped(
  graph: Graph, image: str, low: Sequence[int], high: Sequence[int]
) -> tuple[str, list[int], list[int]]:
  """What a negative padding takes away, taken away before."""
  if min(*low, *high) >= 0:
    return image, list(low), list(high)
  pads = [0, 0, *(min(p, 0) for p in low), 0, 0, *(min(p, 0) for p in high)]
  image = graph.op('Pad', image, graph.constant(pads, np.int64))
  return image, [max(p, 0) for p in low], [max(p, 0) for p in high]


def _transposed(
  graph: Graph,
  image: str,
  kernel: str,
  sides: Sequence[int],
  low: Sequence[int],
  high: Sequence[int],
  dilations: Sequence[int],
  group: int,
  params: Mapping[str, Any],
) -> str:
  """A convolution over an image with zeros between its pixels.

  That is the transposed convolution with the kernel turned around, and its
  inputs and outputs exchanged; it pads by what is left of the kernel's reach.
  """
  if group != 1 or any(step != 1 for step in params['window_strides']):
    raise NotImplementedError('a transposed convolution with groups or strides')
  reach = [d * (side - 1) for d, side in zip(dilations, sides, strict=True)]
  pads = [r - p for r, p in zip(reach, low, strict=True)]
  pads += [r - p for r, p in zip(reach, high, strict=True)]
  if min(pads) < 0:
    raise NotImplementedError('a transposed convolution that pads further')
  two = graph.constant([2, 3], np.int64)
  back = graph.constant([-1, -1], np.int64)
  end = graph.constant([np.iinfo(np.int64).min] * 2, np.int64)
  turned = graph.op('Slice', kernel, back, end, two, back)
  turned = graph.op('Transpose', turned, perm=[1, 0, 2, 3])
  return graph.op(
    'ConvTranspose',
    image,
    turned,
    kernel_shape=list(sides),
    strides=list(params['lhs_dilation']),
    pads=pads,
    dilations=list(dilations),
  )


def _pooled(
  graph: Graph, name: str, ins: Any, params: Mapping[str, Any], kind: str
) -> str:
  """A window over height and width of [b h w c]."""
  window, strides = params['window_dimensions'], params['window_strides']
  dilated = any(
    step != 1
    for key in ('base_dilation', 'window_dilation')
    for step in params[key]
  )
  if len(ins[0].shape) != 4 or (window[0], window[3]) != (1, 1) or dilated:
    raise NotImplementedError('a window of another form than over images')
  low, high = zip(*params['padding'][1:3], strict=True)
  image = graph.op('Transpose', name, perm=[0, 3, 1, 2])
  attributes = {
    'kernel_shape': list(window[1:3]),
    'strides': list(strides[1:3]),
  }
  if kind == 'MaxPool':
    # A window may lie in the padding alone, which MaxPool refuses.
    if any(low) or any(high):
      pads = graph.constant([0, 0, *low, 0, 0, *high], np.int64)
      lowest = graph.constant(np.finfo(np.float32).min, np.float32)
      image = graph.op('Pad', image, pads, lowest)
    found = graph.op(kind, image, **attributes)
  else:
    pads = graph.constant([0, 0, *low, 0, 0, *high], np.int64)
    image = graph.op('Pad', image, pads)
    mean = graph.op('AveragePool', image, **attributes)
    count = graph.constant(float(window[1] * window[2]), np.float32)
    found = graph.op('Mul', mean, count)
  return graph.op('Transpose', found, perm=[0, 2, 3, 1])


def maximum(graph, names, ins, outs, params):
  """`reduce_window_max`."""
  del outs
  return _pooled(graph, names[0], ins, params, 'MaxPool')


def total(graph, names, ins, outs, params):
  """`reduce_window_sum`."""
  del outs
  return _pooled(graph, names[0], ins, params, 'AveragePool')


RULES = {
  'conv_general_dilated': convolution,
  'reduce_window_max': maximum,
  'reduce_window_sum': total,
}
