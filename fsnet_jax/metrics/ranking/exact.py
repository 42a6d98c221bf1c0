"""Failure metrics from every single score: exact, for data that fits memory.

The reference for `FailureHistogram`, which keeps the pixels of small
classes in the same way. Six bytes a pixel on the host; `compute` sorts them.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Bool, Float, Integer

from fsnet_jax.metrics.calibration import (
  Calibration,
  CalibrationCounts,
  calibration_counts,
)
from fsnet_jax.metrics.ranking.batches import Arrays, as_float32, pad_small
from fsnet_jax.metrics.ranking.pixels import (
  PixelKeys,
  PixelStore,
  pixel_keys,
  raise_for_faults,
)
from fsnet_jax.metrics.ranking.summary import summarise


def _counts(
  score, wrong, valid, group, num_groups, probability
) -> tuple[PixelKeys, CalibrationCounts | None]:
  pixels = pixel_keys(score, wrong, valid, group, num_groups)
  if probability is None:
    return pixels, None
  return pixels, calibration_counts(
    probability, wrong, valid, group, num_groups
  )


_jitted_counts = jax.jit(_counts, static_argnums=4)


@dataclasses.dataclass(frozen=True)
class ExactFailure:
  """Ranking metrics of failure scores with every score kept.

  Immutable: `update` and `merge` return new objects. `merge` is associative
  and commutative, and the metrics of parts merged are those of one pass.

  Attributes:
    store: the pixels.
    faults: int64 [2], as `PixelKeys.faults`.
    calibration: sums for the calibration error.
  """

  store: PixelStore
  faults: np.ndarray
  calibration: Calibration

  @classmethod
  def empty(cls, num_classes: int) -> 'ExactFailure':
    """No pixel yet, of `num_classes` groups."""
    return cls(
      store=PixelStore(num_classes),
      faults=np.zeros(2, np.int64),
      calibration=Calibration.empty(num_classes),
    )

  def update(
    self,
    score: Float[Arrays, '*p'],
    wrong: Bool[Arrays, '*p'],
    valid: Bool[Arrays, '*p'],
    group: Integer[Arrays, '*p'],
    probability: Float[Arrays, '*p'] | None = None,
  ) -> 'ExactFailure':
    """Returns the metric with the pixels of a batch added.

    Args:
      score: higher = more likely wrong; any finite float32 where valid.
      wrong: whether the segmentation of the pixel is wrong.
      valid: whether the pixel counts; elsewhere anything may stand.
      group: the true class, 0..num_classes - 1 where valid.
      probability: the stated chance of being wrong, if there is one.

    Raises:
      ValueError: if the arrays differ in shape.
    """
    *arrays, probability = pad_small(
      as_float32(score), wrong, valid, group, as_float32(probability)
    )
    pixels, calibration = jax.device_get(
      _jitted_counts(*arrays, self.store.num_groups, probability)
    )
    return ExactFailure(
      store=self.store.add(pixels.keys, pixels.codes),
      faults=self.faults + pixels.faults,
      calibration=(
        self.calibration
        if calibration is None
        else self.calibration.add(calibration)
      ),
    )

  def merge(self, other: 'ExactFailure') -> 'ExactFailure':
    """Returns the metric of the pixels of both."""
    return ExactFailure(
      store=self.store.merge(other.store),
      faults=self.faults + other.faults,
      calibration=self.calibration.merge(other.calibration),
    )

  def compute(self, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Computes every metric; see `summary.summarise` for the result.

    Args:
      names: of the groups; None names them '0', '1', ...

    Raises:
      ValueError: if a valid pixel had a score that is not finite, a group
        that does not exist or a probability outside [0, 1].
    """
    raise_for_faults(self.faults, self.calibration)
    return summarise(
      self.store.ranking(), self.store.rankings(), self.calibration, names
    )

  def to_arrays(self) -> dict[str, np.ndarray]:
    """The whole state as named arrays, for saving."""
    keys, codes = self.store.arrays()
    return {
      'keys': keys,
      'codes': codes,
      'faults': self.faults,
      **self.calibration.to_arrays(),
    }

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'ExactFailure':
    """Restores what `to_arrays` gave."""
    calibration = Calibration.from_arrays(arrays)
    store = PixelStore(len(calibration.gaps))
    return cls(
      store=store.add(arrays['keys'], arrays['codes']),
      faults=np.asarray(arrays['faults'], np.int64),
      calibration=calibration,
    )
