"""What an image loses at each threshold, and what it has let pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

Risk = Literal['passing', 'undetected']
RISKS: tuple[Risk, ...] = ('passing', 'undetected')


@dataclasses.dataclass(frozen=True)
class PassingCounts:
  """Pixels of one image at each threshold of a grid.

  Attributes:
    passing: int64 [t], labelled pixels whose P(wrong) is at most the threshold.
    wrong: int64 [t], those of them that are misclassified.
    labelled: labelled pixels of the image.
  """

  passing: np.ndarray
  wrong: np.ndarray
  labelled: int

  @property
  def coverage(self) -> np.ndarray:
    """float64 [t], share of the labelled pixels that pass."""
    return self.passing / max(self.labelled, 1)

  def loss(self, risk: Risk) -> np.ndarray:
    """float64 [t] in [0, 1].

    Args:
      risk: 'passing': share of the pixels that pass which are misclassified,
        0 where none passes; 'undetected': share of all labelled pixels that
        are misclassified and pass, which never falls along the grid.
    """
    if risk == 'undetected':
      return self.wrong / max(self.labelled, 1)
    return self.wrong / np.maximum(self.passing, 1)


def count(
  failure: np.ndarray, wrong: np.ndarray, valid: np.ndarray, grid: np.ndarray
) -> PassingCounts:
  """Counts the pixels of one image.

  Args:
    failure: float32 [h w], P(wrong).
    wrong: bool [h w], where the predicted class is not the true one.
    valid: bool [h w], False on void, which counts nowhere.
    grid: float32 [t], ascending.
  """
  # The first threshold at which a pixel passes; t where there is none.
  first = np.searchsorted(grid, failure[valid], side='left')
  bins = len(grid) + 1
  every = np.bincount(first, minlength=bins)
  of_wrong = np.bincount(first[wrong[valid]], minlength=bins)
  return PassingCounts(
    np.cumsum(every)[:-1], np.cumsum(of_wrong)[:-1], int(valid.sum())
  )


def by_unit(values: np.ndarray, units: Sequence[str]) -> np.ndarray:
  """Means over the images of each unit.

  Args:
    values: [n t], of each image.
    units: [n], the unit of each.

  Returns:
    [u t], in the order in which the units appear.
  """
  number = {unit: index for index, unit in enumerate(dict.fromkeys(units))}
  index = np.array([number[unit] for unit in units])
  total = np.zeros((len(number), values.shape[1]))
  np.add.at(total, index, values)
  return total / np.bincount(index)[:, None]
