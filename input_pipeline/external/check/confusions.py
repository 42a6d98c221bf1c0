"""Counts of a few labelled images, and the order of classes that fits them."""

from __future__ import annotations

import numpy as np
from scipy import optimize  # pyrefly: ignore[untyped-import]

from common_lib.class_table import VOID

# Share of a class's pixels that moving it has to win.
_STAY = 0.25
# Orders of so nearly the same pixel accuracy are as good.
_LEVEL = 0.02


def confusion(
  labels: np.ndarray, predictions: np.ndarray, classes: int
) -> np.ndarray:
  """Counts pixels.

  Args:
    labels: uint8 [...], void (255) is left out.
    predictions: integers [...], 0..classes - 1.
    classes: how many there are.

  Returns:
    int64 [classes classes], by label and prediction.
  """
  valid = labels != VOID
  pairs = labels[valid].astype(np.int64) * classes + predictions[valid]
  return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def accuracy(counts: np.ndarray) -> float:
  """Share of correct pixels; 0 of none."""
  return float(np.trace(counts) / max(counts.sum(), 1))


def mean_iou(counts: np.ndarray) -> float:
  """Mean of intersection over union over the classes in the labels."""
  hits = np.diag(counts)
  union = counts.sum(0) + counts.sum(1) - hits
  seen = counts.sum(1) > 0
  return float((hits[seen] / union[seen]).mean()) if seen.any() else 0.0


def best_order(counts: np.ndarray) -> tuple[int, ...]:
  """The channel of each class with which most pixels would be correct.

  A class keeps its channel unless another one has clearly more of its pixels:
  one that is a little more often taken for another is hard, not renamed. One
  that is not in the labels keeps its channel where it can, or moves by one
  where all others do.

  Args:
    counts: of `confusion`.

  Returns:
    For each class the channel, each channel once.
  """
  for step in (1, -1):
    shifted = tuple((i + step) % len(counts) for i in range(len(counts)))
    # One class has no channel then, so that its pixels say nothing.
    others = counts.copy()
    others[-1 if step == 1 else 0] = 0
    best = accuracy(reordered(others, _assigned(others)))
    after = accuracy(reordered(others, shifted))
    # One class alone is no shift.
    several = np.count_nonzero(others.sum(1)) > 1
    if several and after >= best - _LEVEL:
      return shifted
  return _assigned(counts)


def _assigned(counts: np.ndarray) -> tuple[int, ...]:
  """The channel of each class, wherever others go."""
  # And less than a pixel for those that no label has.
  stay = np.diag(_STAY * counts.sum(1) + 0.5 / len(counts))
  _, channels = optimize.linear_sum_assignment(counts + stay, maximize=True)
  return tuple(int(channel) for channel in channels)


def reordered(counts: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
  """The counts, had each class had that channel."""
  return counts[:, list(order)]
