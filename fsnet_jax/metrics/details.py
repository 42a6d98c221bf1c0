"""Ranking metrics of some of the pixels: by region, and by predicted class.

The pixels are counted by narrow ranges of score, as in `FailureHistogram`, but
none is kept: metrics of few pixels take their expected value over the order
within a range, which is known to about a hundredth of the score's size.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flax.struct
import jax
from jaxtyping import Array, Bool, Float, Integer

from fsnet_jax.metrics.ranking import (
  BinCounts,
  BinTable,
  bin_counts,
  group_names,
  pixel_keys,
  ranking_metrics,
)
from fsnet_jax.metrics.regions import NUM_CODES, REGIONS

#: What is reported of each group of pixels.
METRICS = (
  'ap_error',
  'auroc',
  'fpr95_error',
  'base_error_rate',
  'pixels',
  'errors',
)


@flax.struct.dataclass
class DetailCounts:
  """What `Details.add` needs of one batch.

  Attributes:
    predicted: `BinCounts` by predicted class.
    region: `BinCounts` by code of `regions.region_codes`.
  """

  predicted: Any
  region: Any


def detail_counts(
  score: Float[Array, '*p'],
  wrong: Bool[Array, '*p'],
  valid: Bool[Array, '*p'],
  predicted: Integer[Array, '*p'],
  region: Integer[Array, '*p'],
  num_classes: int,
) -> DetailCounts:
  """Counts the pixels of a batch; pure, runs under jit and on a mesh.

  Args:
    score: higher = more likely wrong; a score that is not finite does not
      count (`FailureHistogram` refuses it).
    wrong: whether the segmentation of the pixel is wrong.
    valid: whether the pixel counts.
    predicted: 0..`num_classes` - 1.
    region: of `regions.region_codes`.
    num_classes: number of classes.

  Returns:
    The counts.
  """

  def counts(group: Array, groups: int) -> BinCounts:
    return bin_counts(pixel_keys(score, wrong, valid, group, groups))

  return DetailCounts(counts(predicted, num_classes), counts(region, NUM_CODES))


@dataclasses.dataclass(frozen=True)
class Details:
  """Pixels of any number, counted, and the metrics they give; immutable.

  Attributes:
    predicted: by predicted class.
    region: by code of `regions.region_codes`.
  """

  predicted: BinTable
  region: BinTable

  @classmethod
  def empty(cls, num_classes: int) -> 'Details':
    """No pixel yet."""
    return cls(BinTable.empty(num_classes), BinTable.empty(NUM_CODES))

  def add(self, counts: DetailCounts) -> 'Details':
    """Returns the pixels with those of a batch added, on device or host."""
    counts = jax.device_get(counts)
    return Details(
      self.predicted.add(counts.predicted), self.region.add(counts.region)
    )

  def compute(self, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Computes the metrics.

    Args:
      names: of the classes; None names them '0', '1', ...

    Returns:
      `by_region`, by name of `regions.REGIONS`, and `per_predicted_class`,
      by name of the class: `METRICS` of the pixels there, None where they are
      not defined.
    """
    names = group_names(len(self.predicted.histogram), names)
    return {
      'by_region': {
        name: _metrics(self.region, codes) for name, codes in REGIONS.items()
      },
      'per_predicted_class': {
        name: _metrics(self.predicted, (index,))
        for index, name in enumerate(names)
      },
    }


def _metrics(table: BinTable, groups: Iterable[int]) -> Mapping[str, Any]:
  """The metrics of the pixels of some groups together."""
  ranking, _ = table.ranking(table.histogram[list(groups)].sum(axis=0))
  values = ranking_metrics(ranking)
  return {metric: values[metric] for metric in METRICS}
