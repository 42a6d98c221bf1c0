"""Class tables of tests."""

import numpy as np

from common_lib.class_table import ClassTable


def table(count):
  """A table of classes a, b, c, ..."""
  return ClassTable(
    names=tuple(chr(97 + i) for i in range(count)),
    colors=tuple((i, 0, 0) for i in range(count)),
    ids=tuple((i,) for i in range(count)),
  )


def noise(*shape, seed=0):
  """Images of random colours, uint8 [*shape 3]."""
  return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def scores(*shape, seed=0, spread=5.0):
  """Random logits, float32."""
  rng = np.random.default_rng(seed)
  return rng.normal(scale=spread, size=shape).astype(np.float32)
