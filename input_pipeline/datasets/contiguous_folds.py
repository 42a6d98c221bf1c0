"""Contiguous folds of a data set, for predictions of images not trained on.

Contiguous rather than drawn: neighbours in a data set of drives show the same
street, and would otherwise be on both sides.
"""

from typing import Any

from common_lib.errors import UserError
from input_pipeline.datasets.base import Source


def bounds(length: int, fold: int, folds: int) -> tuple[int, int]:
  """First index of a fold, and the one after its last.

  Fold k of n is [floor(k L / n), floor((k + 1) L / n)), as SynthCP cuts
  Cityscapes: 743, 744, 744 and 744 of its 2975 images.

  Args:
    length: scenes in all, L.
    fold: which one, from 0.
    folds: how many, n.

  Raises:
    UserError: a fold would be empty, or there is nothing to train on.
  """
  if not 2 <= folds <= length:
    raise UserError(
      f'config.fit.num_folds is {folds}: {length} training images can be cut '
      f'into 2 to {length} folds.'
    )
  return fold * length // folds, (fold + 1) * length // folds


class Fold:
  """The scenes of one fold; a source itself."""

  def __init__(self, source: Source, fold: int, folds: int):
    """Keeps scenes `bounds(len(source), fold, folds)`."""
    self._source = source
    self._first, self._end = bounds(len(source), fold, folds)

  def __len__(self) -> int:
    return self._end - self._first

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < len(self):
      raise IndexError(index)
    return self._source[self._first + index]


class WithoutFold:
  """All scenes but those of one fold; a source itself."""

  def __init__(self, source: Source, fold: int, folds: int):
    """Leaves out scenes `bounds(len(source), fold, folds)`."""
    self._source = source
    self._first, self._end = bounds(len(source), fold, folds)

  def __len__(self) -> int:
    return len(self._source) - (self._end - self._first)

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not 0 <= index < len(self):
      raise IndexError(index)
    skipped = self._end - self._first if index >= self._first else 0
    return self._source[index + skipped]
