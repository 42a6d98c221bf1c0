"""Failure metrics of data of any size: the names that stay as they are.

The histogram and everything below it is in `fsnet_jax.metrics.ranking`.
"""

from fsnet_jax.metrics.ranking import (
  FailureCounts,
  FailureHistogram,
  failure_counts,
)

__all__ = ['FailureCounts', 'FailureHistogram', 'failure_counts']
