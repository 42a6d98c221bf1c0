"""Collectives of a compiled program, from the text of its HLO."""

from __future__ import annotations

import dataclasses
import math
import re

_KINDS = (
  'all-reduce|reduce-scatter|all-gather|all-to-all|collective-permute|'
  'collective-broadcast'
)
# `%name = f32[8]{0} all-reduce(`, or of several arrays `= (f32[8]{0}, ...) `.
_INSTRUCTION = re.compile(
  rf'^\s*(?:ROOT )?%\S+ = (.*?) ({_KINDS})(?:-start)?\(', re.MULTILINE
)
_ARRAY = re.compile(r'([a-z]+\d*)\[([\d,]*)\]')
_BYTES = {'pred': 1, 's8': 1, 'u8': 1, 'bf16': 2, 'f16': 2, 's32': 4}
_BYTES |= {'u32': 4, 'f32': 4, 's64': 8, 'u64': 8, 'f64': 8}


@dataclasses.dataclass(frozen=True)
class Collective:
  """One operation between devices.

  Attributes:
    kind: as HLO names it.
    arrays: of each result, its type and its number of elements; 0-d arrays
      have `scalar` set.
  """

  kind: str
  arrays: tuple[tuple[str, int, bool], ...]

  @property
  def bytes(self) -> int:
    """Of all its results."""
    return sum(_BYTES[dtype] * count for dtype, count, _ in self.arrays)

  @property
  def elements(self) -> int:
    """Of its results that are no scalars."""
    return sum(count for _, count, scalar in self.arrays if not scalar)

  @property
  def scalars(self) -> int:
    """How many of its results are scalars."""
    return sum(scalar for _, _, scalar in self.arrays)


def find(text: str) -> list[Collective]:
  """Every collective of a program.

  Args:
    text: of the compiled program; asynchronous ones count at their start.

  Raises:
    KeyError: one is of a type whose size this file does not know.
  """
  found = []
  for shapes, kind in _INSTRUCTION.findall(text):
    arrays = []
    for dtype, sizes in _ARRAY.findall(shapes):
      numbers = [int(size) for size in sizes.split(',') if size]
      arrays.append((dtype, math.prod(numbers), not numbers))
    found.append(Collective(kind, tuple(arrays)))
  return found
