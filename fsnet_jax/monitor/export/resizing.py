"""Resizing inside an ONNX graph, as this package does it: bytes to the bit.

ONNX's own `Resize` computes weights in 32 bits and has no Pillow's filter for
shrinking a map bilinearly: a byte in 20,000 comes out as its neighbour, which a
network may amplify. So places and weights are computed here, in 64 bits, from
the sizes that an image happens to have, and summed tap by tap.

`bicubic`, `bilinear` and `nearest` are Pillow's `Image.resize`
(libImaging/Resample.c and Geometry.c), `weighted` is
`input_pipeline.external.resizing`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from fsnet_jax.monitor.export.onnx_writer.onnx_graph import Graph, type_of
from input_pipeline.external import resizing

# Bits behind the point of the weights of bytes.
_BITS = 22


def height_and_width(graph: Graph, images: str) -> tuple[str, str]:
  """Names of an image's sides, int64 [1] each.

  Args:
    graph: to be added to.
    images: name of [b h w 3].
  """
  shape = graph.op('Shape', images)
  ends = [graph.constant([number], np.int64) for number in (1, 2, 3)]
  return (
    graph.op('Slice', shape, ends[0], ends[1]),
    graph.op('Slice', shape, ends[1], ends[2]),
  )


def bicubic(graph: Graph, images: str, size: tuple[int, int]) -> str:
  """Images of any size, uint8 [b h w 3], at one size, as Pillow does it.

  Args:
    graph: to be added to.
    images: name of them.
    size: height and width of the result.
  """
  sides = height_and_width(graph, images)
  for axis in (2, 1):  # Pillow rounds to bytes between the two, in this order.
    old, new = sides[axis - 1], graph.constant([size[axis - 1]], np.int64)
    images = _unless_equal(graph, images, old, new, np.uint8, _Bytes(axis))
  return images


def bilinear(
  graph: Graph, maps: str, size: tuple[int, int], sides: tuple[str, str]
) -> str:
  """Maps of one size, float32 [b h w], at any size, as Pillow does it.

  Args:
    graph: to be added to.
    maps: name of them, between 0 and 1.
    size: height and width that they have.
    sides: of `height_and_width`: those of the result.
  """
  for axis in (2, 1):
    old, new = graph.constant([size[axis - 1]], np.int64), sides[axis - 1]
    maps = _unless_equal(graph, maps, old, new, np.float32, _Numbers(axis))
  low, high = (graph.constant(number, np.float32) for number in (0, 1))
  return graph.op('Clip', maps, low, high)


def nearest(
  graph: Graph, maps: str, size: tuple[int, int], sides: tuple[str, str]
) -> str:
  """Maps of classes, uint8 [b h w], at any size; else as `bilinear`."""
  for axis in (2, 1):
    old, new = graph.constant([size[axis - 1]], np.int64), sides[axis - 1]
    maps = _unless_equal(graph, maps, old, new, np.uint8, _Nearest(axis))
  return maps


def weighted(
  graph: Graph,
  arrays: str,
  old: tuple[int, int],
  new: tuple[int, int],
  *,
  antialias: bool = False,
) -> str:
  """Bilinear resizing of float32 [b h w c] between sizes that are known.

  Args:
    graph: to be added to.
    arrays: name of them.
    old: height and width that they have.
    new: height and width of the result.
    antialias: see `input_pipeline.external.resizing.resize`.
  """
  for axis in (1, 2):
    if old[axis - 1] == new[axis - 1]:
      continue
    total = ''
    places, weights = resizing.taps(old[axis - 1], new[axis - 1], antialias)
    for place, weight in zip(places, weights, strict=True):
      index = graph.constant(place, np.int64)
      shape = [-1 if one == axis else 1 for one in range(4)]
      part = graph.op('Gather', arrays, index, axis=axis)
      weight = graph.constant(weight.reshape(shape), np.float32)
      part = graph.op('Mul', part, weight)
      total = graph.op('Add', total, part) if total else part
    arrays = total
  return arrays


def _unless_equal(
  graph: Graph,
  values: str,
  old: str,
  new: str,
  dtype: type,
  resize: Callable[[Graph, str, str, str], str],
) -> str:
  """`resize(graph, values, old, new)`, or the values where sizes are equal."""
  same = graph.op('Squeeze', graph.op('Equal', old, new))
  branches = {}
  for name in ('then_branch', 'else_branch'):
    with graph.body() as nodes:
      found = (
        graph.op('Identity', values)
        if name == 'then_branch'
        else resize(graph, values, old, new)
      )
    branches[name] = _body(nodes, [], (found, dtype))
  return graph.op('If', same, **branches)


class _Nearest:
  """Pixels whose area a result's centre is in."""

  def __init__(self, axis: int):
    self._axis = axis

  def __call__(self, graph: Graph, values: str, old: str, new: str) -> str:
    """Pillow adds the step again and again, and so does `CumSum`."""
    double = type_of(np.float64)
    step = graph.op(
      'Div',
      graph.op('Cast', old, to=double),
      graph.op('Cast', new, to=double),
    )
    half = graph.op('Mul', step, graph.constant([0.5], np.float64))
    one = graph.constant([1], np.int64)
    rest = graph.op('Expand', step, graph.op('Sub', new, one))
    steps = graph.op('Concat', half, rest, axis=0)
    places = graph.op('CumSum', steps, graph.constant(0, np.int64))
    places = graph.op('Cast', places, to=type_of(np.int64))
    places = graph.op('Min', places, graph.op('Sub', old, one))
    return graph.op('Gather', values, places, axis=self._axis)


class _Bytes:
  """Means of bytes over Pillow's bicubic filter, row by row.

  A weight has 22 bits behind the point. It is written as three numbers of 8
  bits, whose products with bytes a sum in float32 holds exactly.
  """

  def __init__(self, axis: int):
    self._axis = axis

  def __call__(self, graph: Graph, values: str, old: str, new: str) -> str:
    """Brings the axis to the front, as rows; resizes them; takes it back."""
    shape = graph.op('Shape', values)
    rows = _rows(graph, values, shape, self._axis)
    places, weights = _taps(graph, old, new, _cubic)
    # From [taps n] to what a step takes: [taps] and [3 taps].
    places = graph.op('Transpose', places, perm=[1, 0])
    parts = graph.op('Transpose', _parts(graph, weights), perm=[2, 0, 1])
    found = graph.op(
      'Scan', places, parts, body=_step_of_bytes(graph, rows), num_scan_inputs=2
    )
    return _from_rows(graph, found, shape, new, self._axis)


def _rows(graph: Graph, values: str, shape: str, axis: int) -> str:
  """[b h w 3] as [h, b w 3] or [w, 3 b h]."""
  if axis == 1:
    front = graph.op('Transpose', values, perm=[1, 0, 2, 3])
    return graph.op('Reshape', front, graph.constant([0, -1], np.int64))
  # A matrix is transposed faster than more axes are.
  width = _side(graph, shape, 2)
  three = graph.op('Mul', width, graph.constant([3], np.int64))
  rest = graph.constant([-1], np.int64)
  flat = graph.op('Reshape', values, _joined(graph, rest, three))
  front = graph.op('Transpose', flat, perm=[1, 0])
  return graph.op('Reshape', front, _joined(graph, width, rest))


def _from_rows(graph: Graph, rows: str, shape: str, new: str, axis: int) -> str:
  """The opposite of `_rows`, of an axis of another length."""
  batch, height = (_side(graph, shape, index) for index in (0, 1))
  three, rest = (graph.constant([number], np.int64) for number in (3, -1))
  if axis == 1:
    size = _joined(graph, new, batch, rest, three)
    front = graph.op('Reshape', rows, size)
    return graph.op('Transpose', front, perm=[1, 0, 2, 3])
  width = graph.op('Mul', new, three)
  flat = graph.op('Reshape', rows, _joined(graph, width, rest))
  back = graph.op('Transpose', flat, perm=[1, 0])
  return graph.op('Reshape', back, _joined(graph, batch, height, new, three))


def _side(graph: Graph, shape: str, index: int) -> str:
  """One number of a shape, [1]."""
  return graph.op('Gather', shape, graph.constant([index], np.int64), axis=0)


def _joined(graph: Graph, *sides: str) -> str:
  return graph.op('Concat', *sides, axis=0)


def _parts(graph: Graph, weights: str) -> str:
  """Weights as whole numbers of 2^-22, in three parts, float32 [3 taps n]."""

  def real(value: float) -> str:
    return graph.constant(value, np.float64)

  rest = graph.op('Mul', weights, real(float(1 << _BITS)))
  half = graph.op('Mul', graph.op('Sign', rest), real(0.5))
  # Halves away from 0; `Cast` cuts off what is behind the point.
  rest = graph.op('Cast', graph.op('Add', rest, half), to=type_of(np.int64))
  rest = graph.op('Cast', rest, to=type_of(np.float64))
  found = []
  for size in (65536.0, 256.0):
    part = graph.op('Floor', graph.op('Div', rest, real(size)))
    found.append(part)
    rest = graph.op('Sub', rest, graph.op('Mul', part, real(size)))
  axis = graph.constant([0], np.int64)
  each = [graph.op('Unsqueeze', part, axis) for part in (*found, rest)]
  whole = graph.op('Concat', *each, axis=0)
  return graph.op('Cast', whole, to=type_of(np.float32))


def _step_of_bytes(graph: Graph, rows: str) -> onnx.GraphProto:
  """`(places [taps], weights [3 taps]) -> one row`, as a graph."""

  def whole(value: object) -> str:
    return graph.constant(value, np.int32)

  names = [f'{rows}_places', f'{rows}_weights']
  with graph.body() as nodes:
    taps = graph.op('Gather', rows, names[0], axis=0)
    taps = graph.op('Cast', taps, to=type_of(np.float32))
    sums = graph.op('MatMul', names[1], taps)
    sums = graph.op('Cast', sums, to=type_of(np.int32))
    sums = graph.op('Mul', sums, whole([[1 << 16], [1 << 8], [1]]))
    axis = graph.constant([0], np.int64)
    total = graph.op('ReduceSum', sums, axis, keepdims=0)
    total = graph.op('Add', total, whole(1 << (_BITS - 1)))
    total = graph.op('Div', total, whole(1 << _BITS))
    total = graph.op('Clip', total, whole(0), whole(255))
    total = graph.op('Cast', total, to=type_of(np.uint8))
  return _body(
    nodes, [(names[0], np.int64), (names[1], np.float32)], (total, np.uint8)
  )


class _Numbers:
  """Means of numbers over a triangle, tap by tap."""

  def __init__(self, axis: int):
    self._axis = axis

  def __call__(self, graph: Graph, values: str, old: str, new: str) -> str:
    """Sums one row of places and of weights after another."""
    places, weights = _taps(graph, old, new, _linear)
    weights = graph.op('Cast', weights, to=type_of(np.float32))
    if self._axis == 1:  # To be broadcast over the width.
      end = graph.constant([2], np.int64)
      weights = graph.op('Unsqueeze', weights, end)
    axis = graph.constant([self._axis], np.int64)
    shape = graph.op('Shape', values)
    shape = graph.op('ScatterElements', shape, axis, new, axis=0)
    start = graph.op('Expand', graph.constant(0, np.float32), shape)
    names = [f'{values}_{name}' for name in ('sum', 'places', 'weights')]
    with graph.body() as nodes:
      part = graph.op('Gather', values, names[1], axis=self._axis)
      total = graph.op('Add', names[0], graph.op('Mul', part, names[2]))
    types = np.float32, np.int64, np.float32
    body = _body(
      nodes, list(zip(names, types, strict=True)), (total, np.float32)
    )
    return graph.op(
      'Scan', start, places, weights, body=body, num_scan_inputs=2
    )


def _body(
  nodes: list[onnx.NodeProto],
  inputs: list[tuple[str, type]],
  output: tuple[str, type],
) -> onnx.GraphProto:
  """A graph in a node, with names and types of what comes in and out."""
  infos = [
    helper.make_tensor_value_info(name, type_of(dtype), None)
    for name, dtype in (*inputs, output)
  ]
  return helper.make_graph(nodes, f'of_{output[0]}', infos[:-1], infos[-1:])


def _taps(
  graph: Graph, old: str, new: str, kernel: Callable[[Graph, str], str]
) -> tuple[str, str]:
  """Places int64 and weights float64, [taps n], as `precompute_coeffs`."""

  def real(value: float) -> str:
    return graph.constant(value, np.float64)

  def whole(value: int) -> str:
    return graph.constant(value, np.int64)

  def cast(name: str, dtype: type) -> str:
    return graph.op('Cast', name, to=type_of(dtype))

  old, new = (graph.op('Squeeze', one) for one in (old, new))
  scale = graph.op('Div', cast(old, np.float64), cast(new, np.float64))
  stretch = graph.op('Max', scale, real(1.0))
  reach = graph.op('Mul', stretch, real(2.0 if kernel is _cubic else 1.0))
  index = cast(graph.op('Range', whole(0), new, whole(1)), np.float64)
  centers = graph.op('Mul', graph.op('Add', index, real(0.5)), scale)
  first = graph.op('Add', graph.op('Sub', centers, reach), real(0.5))
  first = graph.op('Max', cast(first, np.int64), whole(0))
  end = graph.op('Add', graph.op('Add', centers, reach), real(0.5))
  end = graph.op('Min', cast(end, np.int64), old)
  most = graph.op('ReduceMax', graph.op('Sub', end, first), keepdims=0)
  taps = graph.op('Range', whole(0), most, whole(1))
  taps = graph.op('Unsqueeze', taps, graph.constant([1], np.int64))
  places = graph.op('Add', taps, first)
  distance = graph.op('Sub', cast(places, np.float64), centers)
  distance = graph.op('Add', distance, real(0.5))
  distance = graph.op('Mul', distance, graph.op('Div', real(1.0), stretch))
  weights = kernel(graph, graph.op('Abs', distance))
  inside = graph.op('Less', places, end)
  weights = graph.op('Where', inside, weights, real(0.0))
  axis = graph.constant([0], np.int64)
  total = graph.op('ReduceSum', weights, axis, keepdims=1)
  places = graph.op('Min', places, graph.op('Sub', old, whole(1)))
  return places, graph.op('Div', weights, total)


def _cubic(graph: Graph, x: str) -> str:
  """Keys' filter with a = -0.5, of |x|."""

  def real(value: float) -> str:
    return graph.constant(value, np.float64)

  near = graph.op('Sub', graph.op('Mul', x, real(1.5)), real(2.5))
  near = graph.op('Mul', graph.op('Mul', near, x), x)
  near = graph.op('Add', near, real(1.0))
  far = graph.op('Mul', graph.op('Sub', x, real(5.0)), x)
  far = graph.op('Mul', graph.op('Add', far, real(8.0)), x)
  far = graph.op('Mul', graph.op('Sub', far, real(4.0)), real(-0.5))
  found = graph.op('Where', graph.op('Less', x, real(2.0)), far, real(0.0))
  return graph.op('Where', graph.op('Less', x, real(1.0)), near, found)


def _linear(graph: Graph, x: str) -> str:
  """A triangle, of |x|."""
  one, zero = (graph.constant(number, np.float64) for number in (1, 0))
  return graph.op('Max', graph.op('Sub', one, x), zero)
