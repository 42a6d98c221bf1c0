"""A JAX function as an ONNX graph: its jaxpr, primitive by primitive."""

from __future__ import annotations

import collections
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.extend import core

from fsnet_jax.models.cpu import conv_forms
from fsnet_jax.monitor.export.onnx_writer import (
  channel_affine,
  primitives,
  resize_calls,
  windows,
)
from fsnet_jax.monitor.export.onnx_writer.onnx_graph import BATCH, Graph

RULES: Mapping[str, primitives.Rule] = {
  **primitives.RULES,
  **windows.RULES,
  **channel_affine.RULES,
}
# Calls that have an operator of their own, by the function's name.
_NAMED: Mapping[str, primitives.Rule] = resize_calls.RULES
# Calls of other jaxprs, by where their parameters keep them.
_CALLS = ('jaxpr', 'call_jaxpr', 'fun_jaxpr')


class Unsupported(Exception):
  """A primitive that has no rule here; the text names it and where it is."""


def traced(
  function: Callable[..., Sequence[Any]], *inputs: jax.ShapeDtypeStruct
) -> Any:
  """The jaxpr of a function, with the forms of convolutions that all have.

  Args:
    function: of arrays, of which it returns several.
    *inputs: their shapes; the first axis of the first is `BATCH`.
  """
  with conv_forms.use('onnx'):
    return jax.make_jaxpr(function)(*inputs)


def write(closed: Any, graph: Graph, names: Sequence[str]) -> list[str]:
  """Adds a function to a graph.

  Args:
    closed: of `traced`.
    graph: to be added to.
    names: of its inputs in the graph.

  Returns:
    The names of its results.

  Raises:
    Unsupported: a primitive has no rule.
  """
  writer = _Writer(graph)
  results = writer.run(closed.jaxpr, closed.consts, list(names))
  return [writer.name(one) for one in results]


class _Writer:
  """Walks a jaxpr; values are names in the graph, or arrays that are known."""

  def __init__(self, graph: Graph):
    self._graph = graph

  def name(self, value: Any) -> str:
    """A value's name; a known array becomes a constant."""
    return value if isinstance(value, str) else self._graph.constant(value)

  def run(
    self, jaxpr: Any, consts: Sequence[Any], values: Sequence[Any]
  ) -> list[Any]:
    """Results of a jaxpr."""
    known: dict[Any, Any] = {}
    known.update(zip(jaxpr.constvars, map(np.asarray, consts), strict=True))
    known.update(zip(jaxpr.invars, values, strict=True))

    def value(atom: Any) -> Any:
      if isinstance(atom, core.Literal):
        # pyrefly: ignore[missing-attribute] - a literal is an array's
        return np.asarray(atom.val, atom.aval.dtype)
      return known[atom]

    uses = collections.Counter(
      atom
      for atoms in (*(e.invars for e in jaxpr.eqns), jaxpr.outvars)
      for atom in atoms
      if not isinstance(atom, core.Literal)
    )
    for equation in jaxpr.eqns:
      found = self._equation(equation, [value(a) for a in equation.invars])
      known.update(zip(equation.outvars, found, strict=True))
      for variable, one in zip(equation.outvars, found, strict=True):
        if isinstance(one, str) and uses[variable] > 1:
          channel_affine.keep(self._graph, one)
    return [value(atom) for atom in jaxpr.outvars]

  def _equation(self, equation: Any, values: list[Any]) -> list[Any]:
    """Results of one equation."""
    ins = [atom.aval for atom in equation.invars]
    outs = [atom.aval for atom in equation.outvars]
    inner = _inner(equation.params)
    if inner is not None:
      called = _NAMED.get(equation.params.get('name', ''))
      if called is not None and isinstance(values[0], str):
        return [called(self._graph, values, ins, outs, equation.params)]
      jaxpr, consts = inner
      return self.run(jaxpr, consts, values)
    if _is_known(values, outs):
      found = equation.primitive.bind(*values, **equation.params)
      several = equation.primitive.multiple_results
      return [np.asarray(one) for one in (found if several else [found])]
    name = equation.primitive.name
    if name == 'split':
      return self._split(equation, values)
    rule = RULES.get(name)
    try:
      if rule is None or len(outs) != 1:
        raise NotImplementedError(f'primitive {name!r}')
      names = [self.name(one) for one in values]
      return [rule(self._graph, names, ins, outs, equation.params)]
    except NotImplementedError as error:
      where = str(equation.source_info.name_stack) or 'the function itself'
      problem = f'{error} (in {where})'
    raise Unsupported(problem)

  def _split(self, equation: Any, values: list[Any]) -> list[Any]:
    """`split`: several results, as slices."""
    axis, start, found = equation.params['axis'], 0, []
    source = self.name(values[0])
    for size in equation.params['sizes']:
      ends = [
        self._graph.constant([number], np.int64)
        for number in (start, start + size, axis)
      ]
      found.append(self._graph.op('Slice', source, *ends))
      start += size
    return found


def _inner(params: Mapping[str, Any]) -> tuple[Any, Sequence[Any]] | None:
  """The jaxpr of a call and its constants; None of what is no call."""
  for key in _CALLS:
    found = params.get(key)
    if found is None:
      continue
    if hasattr(found, 'jaxpr'):
      return found.jaxpr, found.consts
    if hasattr(found, 'eqns'):
      return found, ()
  return None


def _is_known(values: Sequence[Any], outs: Sequence[Any]) -> bool:
  """Whether the result can be computed now: it is of weights alone."""
  batched = any(BATCH in out.shape for out in outs)
  return not batched and all(isinstance(one, np.ndarray) for one in values)
