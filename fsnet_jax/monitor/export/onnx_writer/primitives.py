"""JAX primitives as ONNX operators: one function or one line each.

`Writer.value` of an operand is a name in the graph, or a NumPy array that is
known already: what depends on weights alone is computed while the file is
written.
"""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from fsnet_jax.monitor.export.onnx_writer.onnx_graph import (
  BATCH,
  Graph,
  type_of,
)

# `(graph, names of the operands, avals of the operands, avals of the results,
# parameters) -> name of the result`.
Rule = Callable[..., str]


@dataclasses.dataclass(frozen=True)
class Pieces:
  """What was put together along an axis: names and sizes."""

  names: tuple[str, ...]
  sizes: tuple[int, ...]
  axis: int


def _named(kind: str) -> Rule:
  """An operator that does just that."""

  def rule(graph: Graph, names: Any, ins: Any, outs: Any, params: Any) -> str:
    del ins, outs, params
    return graph.op(kind, *names)

  return rule


def _integer_pow(graph, names, ins, outs, params):
  del outs
  power = graph.constant(params['y'], ins[0].dtype)
  return graph.op('Pow', names[0], power)


def _max(graph, names, ins, outs, params):
  """The larger one; with nothing, the rectifier, which runtimes fuse."""
  del outs, params
  if ins[0].dtype == np.float32:
    nothing = graph.constant(0, np.float32)
    for one, other in (names, names[::-1]):
      if other == nothing and one != nothing:
        return graph.op('Relu', one)
  return graph.op('Max', *names)


def _rsqrt(graph, names, ins, outs, params):
  del ins, outs, params
  return graph.op('Reciprocal', graph.op('Sqrt', names[0]))


def _log1p(graph, names, ins, outs, params):
  """ln(1 + x) without losing what is small: Goldberg's form."""
  del outs, params
  one = graph.constant(1, ins[0].dtype)
  more = graph.op('Add', names[0], one)
  rounded = graph.op('Sub', more, one)
  small = graph.op('Equal', rounded, graph.constant(0, ins[0].dtype))
  safe = graph.op('Where', small, one, rounded)
  ratio = graph.op('Div', graph.op('Log', more), safe)
  found = graph.op('Mul', names[0], ratio)
  return graph.op('Where', small, names[0], found)


def _expm1(graph, names, ins, outs, params):
  """e^x - 1 as 2 tanh(x / 2) / (1 - tanh(x / 2)), exact near 0."""
  del outs, params
  one, half = (graph.constant(v, ins[0].dtype) for v in (1, 0.5))
  tanh = graph.op('Tanh', graph.op('Mul', names[0], half))
  twice = graph.op('Add', tanh, tanh)
  return graph.op('Div', twice, graph.op('Sub', one, tanh))


def _square(graph, names, ins, outs, params):
  del ins, outs, params
  return graph.op('Mul', names[0], names[0])


def _not_equal(graph, names, ins, outs, params):
  del ins, outs, params
  return graph.op('Not', graph.op('Equal', *names))


def _is_finite(graph, names, ins, outs, params):
  del ins, outs, params
  odd = graph.op('Or', graph.op('IsInf', names[0]), graph.op('IsNaN', names[0]))
  return graph.op('Not', odd)


def _stack(graph, names, ins, outs, params):
  del ins, outs
  axis = params['axis']
  place = graph.constant([axis], np.int64)
  return graph.op(
    'Concat', *(graph.op('Unsqueeze', n, place) for n in names), axis=axis
  )


def _select(graph, names, ins, outs, params):
  del ins, outs, params
  which, otherwise, chosen = names
  return graph.op('Where', which, chosen, otherwise)


def _clamp(graph, names, ins, outs, params):
  del ins, outs, params
  low, value, high = names
  return graph.op('Min', graph.op('Max', value, low), high)


def _convert(graph, names, ins, outs, params):
  del params
  if ins[0].dtype == outs[0].dtype:
    return names[0]
  return graph.op('Cast', names[0], to=type_of(outs[0].dtype))


def _same(graph, names, ins, outs, params):
  del graph, ins, outs, params
  return names[0]


def _reduce(kind: str) -> Rule:
  """A reduction over several axes."""

  def rule(graph, names, ins, outs, params):
    del outs
    axes = graph.constant(params['axes'], np.int64)
    if kind in ('ReduceMax', 'ReduceMin') and ins[0].dtype == np.bool_:
      whole = graph.op('Cast', names[0], to=type_of(np.int32))
      found = graph.op(kind, whole, axes, keepdims=0)
      return graph.op('Cast', found, to=type_of(np.bool_))
    return graph.op(kind, names[0], axes, keepdims=0)

  return rule


def _arg(kind: str) -> Rule:
  """The index of the largest or smallest along one axis; the first of equal."""

  def rule(graph, names, ins, outs, params):
    del ins
    (axis,) = params['axes']
    found = graph.op(kind, names[0], axis=axis, keepdims=0, select_last_index=0)
    return graph.op('Cast', found, to=type_of(outs[0].dtype))

  return rule


def reshaped(graph: Graph, name: str, shape: Any) -> str:
  """Another shape; an axis that the batch is part of takes what is left."""
  sizes = [int(size) for size in shape]
  of_batch = [i for i, size in enumerate(sizes) if size and size % BATCH == 0]
  if len(of_batch) > 1:
    return graph.op('Reshape', name, graph.shape(sizes))
  if of_batch:
    sizes[of_batch[0]] = -1
  return graph.op('Reshape', name, graph.constant(sizes, np.int64))


def _reshape(graph, names, ins, outs, params):
  del ins, params
  return reshaped(graph, names[0], outs[0].shape)


def _broadcast(graph, names, ins, outs, params):
  shape = outs[0].shape
  middle = [1] * len(shape)
  for source, target in enumerate(params['broadcast_dimensions']):
    middle[target] = ins[0].shape[source]
  name = names[0]
  if tuple(middle) != tuple(ins[0].shape):
    name = reshaped(graph, name, middle)
  if tuple(middle) == tuple(shape):
    return name
  return graph.op('Expand', name, graph.shape(shape))


def _transpose(graph, names, ins, outs, params):
  del ins, outs
  return graph.op('Transpose', names[0], perm=list(params['permutation']))


def _slice(graph, names, ins, outs, params):
  del outs
  starts, ends = params['start_indices'], params['limit_indices']
  steps = params['strides'] or (1,) * len(starts)
  axes = [
    i
    for i, size in enumerate(ins[0].shape)
    if (starts[i], ends[i], steps[i]) != (0, size, 1)
  ]
  return graph.op(
    'Slice',
    names[0],
    graph.constant([starts[i] for i in axes], np.int64),
    graph.constant([ends[i] for i in axes], np.int64),
    graph.constant(axes, np.int64),
    graph.constant([steps[i] for i in axes], np.int64),
  )


def _rev(graph, names, ins, outs, params):
  del ins, outs
  axes = list(params['dimensions'])
  count = len(axes)
  return graph.op(
    'Slice',
    names[0],
    graph.constant([-1] * count, np.int64),
    graph.constant([np.iinfo(np.int64).min] * count, np.int64),
    graph.constant(axes, np.int64),
    graph.constant([-1] * count, np.int64),
  )


def _concatenate(graph, names, ins, outs, params):
  del outs
  # onnxruntime refuses pieces of no size.
  kept = [
    name for name, one in zip(names, ins, strict=True) if 0 not in one.shape
  ]
  if len(kept) == 1:
    return kept[0]
  axis = params['dimension']
  name = graph.op('Concat', *kept, axis=axis)
  sizes = [one.shape[axis] for one in ins if 0 not in one.shape]
  graph.notes[name] = Pieces(tuple(kept), tuple(sizes), axis)
  return name


def _pad(graph, names, ins, outs, params):
  del ins, outs
  low, high, inside = zip(*params['padding_config'], strict=True)
  if any(inside):
    raise NotImplementedError('pad between elements')
  pads = graph.constant([*low, *high], np.int64)
  return graph.op('Pad', names[0], pads, names[1], mode='constant')


def _dot(graph, names, ins, outs, params):
  """A matrix product of any axes, as an Einstein sum.

  onnxruntime takes three times as long for one as for a plain product, which a
  dense layer over channels is.
  """
  del outs
  (over, batch) = params['dimension_numbers']
  last = len(ins[0].shape) - 1
  is_plain = tuple(map(tuple, over)) == ((last,), (0,)) and not batch[0]
  if is_plain and len(ins[1].shape) <= 2:
    return graph.op('MatMul', *names)
  leading = list(range(len(batch[0])))
  is_batched = (
    [*map(list, batch)] == [leading, leading]
    and [*map(list, over)] == [[last], [len(leading)]]
    and last == len(ins[1].shape) - 1 == len(leading) + 1
  )
  if is_batched:
    return graph.op('MatMul', *names)
  letters = iter(string.ascii_lowercase)
  left = [next(letters) for _ in ins[0].shape]
  right = [''] * len(ins[1].shape)
  for mine, theirs in (*zip(*over, strict=True), *zip(*batch, strict=True)):
    right[theirs] = left[mine]
  right = [one or next(letters) for one in right]
  result = [left[i] for i in batch[0]]
  result += [c for i, c in enumerate(left) if i not in (*over[0], *batch[0])]
  result += [c for i, c in enumerate(right) if i not in (*over[1], *batch[1])]
  equation = f'{"".join(left)},{"".join(right)}->{"".join(result)}'
  return graph.op('Einsum', *names, equation=equation)


def _cumsum(graph, names, ins, outs, params):
  del ins, outs
  axis = graph.constant(params['axis'], np.int64)
  return graph.op('CumSum', names[0], axis, reverse=int(params['reverse']))


def _gather(graph, names, ins, outs, params):
  """Rows of a table by index, `table[index]`; nothing more general."""
  numbers, sizes = params['dimension_numbers'], params['slice_sizes']
  axes = numbers.start_index_map
  whole = all(
    size == (1 if i in axes else full)
    for i, (size, full) in enumerate(zip(sizes, ins[0].shape, strict=True))
  )
  if (
    len(axes) != 1
    or tuple(numbers.collapsed_slice_dims) != tuple(axes)
    or numbers.operand_batching_dims
    or not whole
    or axes[0] != 0
    or numbers.offset_dims
    != tuple(range(len(ins[1].shape) - 1, len(outs[0].shape)))
  ):
    raise NotImplementedError('gather of another form than table[index]')
  index = reshaped(graph, names[1], ins[1].shape[:-1])
  index = graph.op('Cast', index, to=type_of(np.int64))
  last = graph.constant(ins[0].shape[0] - 1, np.int64)
  index = graph.op(
    'Min', graph.op('Max', index, graph.constant(0, np.int64)), last
  )
  return graph.op('Gather', names[0], index, axis=0)


RULES: Mapping[str, Rule] = {
  **{
    name: _named(kind)
    for name, kind in {
      'abs': 'Abs',
      'add': 'Add',
      'and': 'And',
      'ceil': 'Ceil',
      'cos': 'Cos',
      'div': 'Div',
      'eq': 'Equal',
      'erf': 'Erf',
      'exp': 'Exp',
      'floor': 'Floor',
      'ge': 'GreaterOrEqual',
      'gt': 'Greater',
      'le': 'LessOrEqual',
      'log': 'Log',
      'logistic': 'Sigmoid',
      'lt': 'Less',
      'min': 'Min',
      'mul': 'Mul',
      'neg': 'Neg',
      'not': 'Not',
      'or': 'Or',
      'pow': 'Pow',
      'sign': 'Sign',
      'sin': 'Sin',
      'sqrt': 'Sqrt',
      'sub': 'Sub',
      'tanh': 'Tanh',
      'xor': 'Xor',
    }.items()
  },
  'add_any': _named('Add'),
  'argmax': _arg('ArgMax'),
  'argmin': _arg('ArgMin'),
  'broadcast_in_dim': _broadcast,
  'clamp': _clamp,
  'max': _max,
  'concatenate': _concatenate,
  'convert_element_type': _convert,
  'copy': _same,
  'copy_p': _same,
  'cumsum': _cumsum,
  'dot_general': _dot,
  'expand_dims': _reshape,
  'expm1': _expm1,
  'gather': _gather,
  'integer_pow': _integer_pow,
  'is_finite': _is_finite,
  'log1p': _log1p,
  'ne': _not_equal,
  'optimization_barrier': _same,
  'pad': _pad,
  'reduce_max': _reduce('ReduceMax'),
  'reduce_min': _reduce('ReduceMin'),
  'reduce_or': _reduce('ReduceMax'),
  'reduce_and': _reduce('ReduceMin'),
  'reduce_sum': _reduce('ReduceSum'),
  'reshape': _reshape,
  'rev': _rev,
  'rsqrt': _rsqrt,
  'select_n': _select,
  'slice': _slice,
  'square': _square,
  'squeeze': _reshape,
  'stack': _stack,
  'stop_gradient': _same,
  'transpose': _transpose,
}
