"""Ranking metrics of scores, by counts or exactly.

Everything outside imports from here, so that what is inside can change:

* `FailureHistogram`, `failure_counts`: pixels of any number, in bounded memory.
* `ExactFailure`: the same metrics of pixels that are all kept.
* `Ranking`, `ranking_metrics`, `ranking_metrics_batched`: counts -> metrics.
* `METRICS`, `COVERAGES`, `BUDGETS`, `FPR95_PERCENT`: what is reported.
* The rest is for other metrics that count pixels in the same way.
"""

from fsnet_jax.metrics.ranking.batches import Arrays, pad_small
from fsnet_jax.metrics.ranking.binned import BinCounts, BinTable, bin_counts
from fsnet_jax.metrics.ranking.device_counts import (
  FailureCounts,
  failure_counts,
)
from fsnet_jax.metrics.ranking.exact import ExactFailure
from fsnet_jax.metrics.ranking.failure_histogram import FailureHistogram
from fsnet_jax.metrics.ranking.fpr95 import FPR95_PERCENT
from fsnet_jax.metrics.ranking.pixels import NOT_COUNTED, pixel_keys
from fsnet_jax.metrics.ranking.ranking import (
  BUDGETS,
  COVERAGES,
  METRICS,
  Ranking,
  ranking_metrics,
)
from fsnet_jax.metrics.ranking.ranking_batched import ranking_metrics_batched
from fsnet_jax.metrics.ranking.score_keys import NUM_BINS
from fsnet_jax.metrics.ranking.summary import group_names

__all__ = [
  'BUDGETS',
  'COVERAGES',
  'FPR95_PERCENT',
  'METRICS',
  'NOT_COUNTED',
  'NUM_BINS',
  'Arrays',
  'BinCounts',
  'BinTable',
  'ExactFailure',
  'FailureCounts',
  'FailureHistogram',
  'Ranking',
  'bin_counts',
  'failure_counts',
  'group_names',
  'pad_small',
  'pixel_keys',
  'ranking_metrics',
  'ranking_metrics_batched',
]
