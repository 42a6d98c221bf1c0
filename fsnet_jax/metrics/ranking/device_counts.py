"""What the device makes of the pixels of a batch: keys, or counts of them."""

from typing import Any

import flax.struct
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from fsnet_jax.metrics.calibration import calibration_counts
from fsnet_jax.metrics.ranking.binned import bin_counts
from fsnet_jax.metrics.ranking.pixels import pixel_keys


@flax.struct.dataclass
class FailureCounts:
  """What `FailureHistogram.add` needs of one batch.

  Attributes:
    pixels: `PixelKeys`, or None if these stay on the device.
    bins: `BinCounts`, in that case.
    faults: int32 [2], as `PixelKeys.faults`.
    calibration: `CalibrationCounts`, or None without a probability.
  """

  pixels: Any
  bins: Any
  faults: Any
  calibration: Any


def failure_counts(
  score: Float[Array, '*p'],
  wrong: Bool[Array, '*p'],
  valid: Bool[Array, '*p'],
  group: Integer[Array, '*p'],
  num_groups: int,
  probability: Float[Array, '*p'] | None = None,
  keep_pixels: bool = True,
) -> FailureCounts:
  """Packs or counts the pixels of a batch; pure, runs under jit and on a mesh.

  With inputs split over a mesh of Auto axes the counts are those of the whole
  batch. A job of several processes must ask for replicated outputs
  (`out_shardings`), so that every process can read them.

  Args:
    score: higher = more likely wrong; any finite float32 where valid.
    wrong: whether the segmentation of the pixel is wrong.
    valid: whether the pixel counts; elsewhere anything may stand.
    group: 0..`num_groups` - 1 where valid, usually the true class.
    num_groups: number of groups.
    probability: the stated chance of being wrong, in [0, 1], if there is one.
    keep_pixels: whether to return the pixels, 6 bytes each, so that small
      groups and FPR95 get exact metrics; without, counts of a fixed size are
      all that leaves the device.

  Returns:
    The counts.

  Raises:
    ValueError: if the arrays differ in shape, or the batch has so many pixels
      that int32 could overflow.
  """
  if np.size(score) >= 1 << 31:
    raise ValueError(f'a batch of {np.size(score)} pixels overflows int32')
  pixels = pixel_keys(score, wrong, valid, group, num_groups)
  return FailureCounts(
    pixels=pixels if keep_pixels else None,
    bins=None if keep_pixels else bin_counts(pixels),
    faults=pixels.faults,
    calibration=(
      None
      if probability is None
      else calibration_counts(probability, wrong, valid, group, num_groups)
    ),
  )


jitted_failure_counts = jax.jit(
  failure_counts, static_argnames=('num_groups', 'keep_pixels')
)
