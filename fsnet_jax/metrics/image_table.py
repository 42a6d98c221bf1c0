"""Images, or groups of them, as histograms over the same ranges of score."""

import dataclasses

import numpy as np

from fsnet_jax.metrics.ranking import Ranking, ranking_metrics_batched

# Images that are ranked together; their arrays should fit into a cache.
_AT_ONCE = 64


@dataclasses.dataclass(frozen=True)
class ImageTable:
  """Every image of a data set as a histogram over the same ranges.

  Attributes:
    counts: int32 or int64 [n 2 k], right and wrong pixels of each image, by
      range from the lowest to the highest score.
    tied: bool [k], whether the pixels of a range all have the same score.
  """

  counts: np.ndarray
  tied: np.ndarray

  def ranking(self, weights: np.ndarray | None = None) -> Ranking:
    """The pixels of a choice of images.

    Args:
      weights: int [n], how often each image was drawn; None: each once.
    """
    if weights is None:
      weights = np.ones(len(self.counts), np.int64)
    correct, wrong = (one[0] for one in self.rows(weights[None]))
    return Ranking(
      correct.astype(np.int64), wrong.astype(np.int64), self.tied[::-1]
    )

  def joined(self, unit: np.ndarray) -> 'ImageTable':
    """The table of units of several images, such as sequences.

    Args:
      unit: int [n], the unit of each image, 0..m-1.

    Returns:
      A table of m rows, over the same ranges.
    """
    counts = np.zeros((int(unit.max()) + 1, *self.counts.shape[1:]), np.int64)
    np.add.at(counts, unit, self.counts)
    return ImageTable(counts, self.tied)

  def image_means(self) -> dict[str, float | None]:
    """Measures of each image by itself, averaged over images.

    SynthCP averages its FPR95 so (the other measures are of pooled pixels). It
    takes the threshold whose recall is closest to 0.95; here it is the first
    that reaches it, as for all pixels (`ranking.ranking_metrics`).

    Returns:
      `fpr95_error`: mean over the images that have wrong and right pixels;
      None without such an image.
    """
    most_suspicious_first = self.counts[:, :, ::-1]
    found = np.concatenate(
      [
        _fpr95(most_suspicious_first[start : start + _AT_ONCE], self.tied[::-1])
        for start in range(0, len(self.counts), _AT_ONCE)
      ]
    )
    defined = found[~np.isnan(found)]
    return {'fpr95_error': float(defined.mean()) if len(defined) else None}

  def rows(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Right and wrong pixels of many choices of images.

    Args:
      weights: int [r n], how often each image was drawn in each choice.

    Returns:
      Two arrays float64 [r k] of whole numbers, most suspicious range first.
    """
    images, kinds, ranges = self.counts.shape
    # Whole numbers below 2^53: exact, and much faster than in integers.
    total = weights.astype(np.float64) @ self.counts.reshape(images, -1)
    both = total.reshape(-1, kinds, ranges)[:, :, ::-1]
    return both[:, 0], both[:, 1]


def _fpr95(counts: np.ndarray, tied: np.ndarray) -> np.ndarray:
  """[r], of [r 2 s] counts, most suspicious step first; NaN: undefined."""
  right, wrong = np.moveaxis(counts, 1, 0).astype(np.float64)
  found = ranking_metrics_batched(right, wrong, tied, ('fpr95_error',))
  return found['fpr95_error']
