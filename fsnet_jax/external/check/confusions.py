"""Counts of a few labelled images, and the order of classes that fits them."""

from __future__ import annotations

import numpy as np
from scipy import optimize  # pyrefly: ignore[untyped-import]

from common_lib.class_table import VOID


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

  A class that is not in the labels keeps its channel where it can.

  Args:
    counts: of `confusion`.

  Returns:
    For each class the channel, each channel once.
  """
  # Less than a pixel, whatever the number of classes.
  stay = np.eye(len(counts)) * (0.5 / len(counts))
  _, channels = optimize.linear_sum_assignment(counts + stay, maximize=True)
  return tuple(int(channel) for channel in channels)


def reordered(counts: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
  """The counts, had each class had that channel."""
  return counts[:, list(order)]
