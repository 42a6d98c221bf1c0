"""How sure a difference between two detectors is: a bootstrap over images.

Pixels of one image err together, so images are drawn, not pixels (Efron 1979).
Both detectors see the same draws: what makes an image hard for both cancels.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.metrics.ranking import ranking_metrics, ranking_metrics_batched
from fsnet_jax.metrics.resampling_units import LEAST_IMAGES

#: Metrics that are resampled.
METRICS = (
  'ap_error',
  'ap_success',
  'auroc',
  'fpr95_error',
  'aurc',
  'augrc',
)

# Draws that are ranked together: their arrays should fit into a cache. More
# are added up together, for each product of matrices wakes all threads.
_RANKED_AT_ONCE = 64
_DRAWN_AT_ONCE = 256


class Interval(NamedTuple):
  """A difference and where it lies.

  Attributes:
    difference: on the images as they are.
    low: 2.5th percentile over the draws.
    high: 97.5th percentile.
  """

  difference: float
  low: float
  high: float


def draws(num_images: int, count: int, seed: int = 0) -> np.ndarray:
  """How often each image is in each draw of as many images.

  Args:
    num_images: n, at least 1.
    count: number of draws r.
    seed: of the draws.

  Returns:
    int32 [r n]; each row sums to n.
  """
  generator = np.random.default_rng(seed)
  chance = np.full(num_images, 1 / num_images)
  weights = np.empty((count, num_images), np.int32)
  # A few at a time: what is drawn comes as int64.
  for rows in _parts(count, _DRAWN_AT_ONCE):
    weights[rows] = generator.multinomial(
      num_images, chance, size=rows.stop - rows.start
    )
  return weights


def _parts(length: int, size: int) -> list[slice]:
  """Consecutive parts of a length, each of at most a size."""
  return [
    slice(start, min(start + size, length)) for start in range(0, length, size)
  ]


def resampled(
  table: ImageTable, weights: np.ndarray, metrics: Sequence[str] = METRICS
) -> dict[str, np.ndarray]:
  """The pooled metrics of each draw.

  Args:
    table: every image of a data set, of one detector.
    weights: int [r n] from `draws`.
    metrics: some of `METRICS`.

  Returns:
    By metric float64 [r]; NaN for a draw without errors.
  """
  parts = []
  for drawn in _parts(len(weights), _DRAWN_AT_ONCE):
    correct, wrong = table.rows(weights[drawn])
    parts += [
      ranking_metrics_batched(
        correct[ranked], wrong[ranked], table.tied[::-1], metrics
      )
      for ranked in _parts(len(correct), _RANKED_AT_ONCE)
    ]
  return {
    metric: np.concatenate([part[metric] for part in parts])
    for metric in metrics
  }


def paired_interval(
  difference: float,
  mine: np.ndarray | Sequence[np.ndarray],
  other: np.ndarray | Sequence[np.ndarray],
  num_images: int,
) -> Interval | None:
  """The 95 % percentile interval of a paired difference.

  Args:
    difference: mine less other, on the images as they are.
    mine: float [s r], a metric of each draw, for each of s networks (seeds).
    other: the same of the other detector, for the same draws and networks.
    num_images: how many images the draws are from.

  Returns:
    The interval of the difference averaged over the networks; None where
    fewer than half of the draws have one, and of fewer than `LEAST_IMAGES`
    images.
  """
  if num_images < LEAST_IMAGES:
    return None
  gaps = np.mean(np.asarray(mine) - np.asarray(other), axis=0)
  count = len(gaps)
  gaps = gaps[np.isfinite(gaps)]
  if not count or 2 * len(gaps) < count:
    return None
  low, high = np.percentile(gaps, (2.5, 97.5))
  return Interval(float(difference), float(low), float(high))


def resolution_error(
  table: ImageTable, exact: Mapping[str, float | None]
) -> dict[str, float | None]:
  """What the ranges cost: the table's metrics less the exact ones.

  Args:
    table: every image of a data set, of one detector.
    exact: the pooled metrics from the scores themselves.

  Returns:
    By metric the absolute error; None where it is not defined.
  """
  found = ranking_metrics(table.ranking())
  return {metric: _gap(found[metric], exact[metric]) for metric in METRICS}


def _gap(found: float | int | None, exact: float | None) -> float | None:
  return None if found is None or exact is None else abs(found - exact)
