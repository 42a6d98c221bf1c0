"""Expected calibration error of a stated chance of being wrong."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.struct
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from fsnet_jax.metrics.scatter import sum_by_cell

#: Equal-width bins of confidence, as ObsNet and BRAVO use.
NUM_BINS = 15

# Gaps are summed as whole multiples of 2^-20: integer sums do not depend on
# the order of pixels, batches or devices. Those of a block of 2^10 pixels stay
# within 2^30.
_UNIT = 1 << 20
_BLOCK_BITS = 10


@flax.struct.dataclass
class CalibrationCounts:
  """Sums of one batch.

  Attributes:
    gaps: int32 [k g j], by block of pixels k, group g and bin of confidence j:
      the sum of (1 if right else 0) - confidence, in units of 2^-20.
    pixels: int32 [], the pixels that count.
    invalid: int32 [], valid pixels whose probability is not in [0, 1].
  """

  gaps: Any
  pixels: Any
  invalid: Any


def calibration_counts(
  probability: Float[Array, '*p'],
  wrong: Bool[Array, '*p'],
  valid: Bool[Array, '*p'],
  group: Integer[Array, '*p'],
  num_groups: int,
) -> CalibrationCounts:
  """Sums what the calibration error of a batch needs; runs under jit.

  Args:
    probability: stated chance that the pixel is wrong, in [0, 1].
    wrong: whether the segmentation of the pixel is wrong.
    valid: whether the pixel counts; elsewhere anything may stand.
    group: 0..`num_groups` - 1, the class whose share the pixel belongs to.
    num_groups: number of groups.

  Returns:
    The sums. A pixel with confidence v = 1 - probability is in bin j if
    j / 15 < v <= (j + 1) / 15; v = 0 is in bin 0 (Guo et al. 2017).
  """
  probability = probability.reshape(-1).astype(jnp.float32)
  wrong, valid = wrong.reshape(-1), valid.reshape(-1)
  group = group.reshape(-1).astype(jnp.int32)
  proper = (probability >= 0) & (probability <= 1)
  counted = valid & proper & (group >= 0) & (group < num_groups)
  confidence = jnp.where(counted, 1 - probability, 0)
  edges = jnp.arange(1, NUM_BINS, dtype=jnp.float32) / NUM_BINS
  bins = jnp.sum(confidence[:, None] > edges, axis=1, dtype=jnp.int32)
  gaps = jnp.where(wrong, 0, _UNIT) - jnp.round(confidence * _UNIT)
  size = probability.size
  blocks = max(-(-size // (1 << _BLOCK_BITS)), 1)
  block = jnp.arange(size, dtype=jnp.int32) >> _BLOCK_BITS
  sums = sum_by_cell(
    (block * num_groups + group) * NUM_BINS + bins,
    counted,
    blocks * num_groups * NUM_BINS,
    gaps.astype(jnp.int32),
  )
  return CalibrationCounts(
    gaps=sums.reshape(blocks, num_groups, NUM_BINS),
    pixels=jnp.sum(counted, dtype=jnp.int32),
    invalid=jnp.sum(valid & ~proper, dtype=jnp.int32),
  )


@dataclasses.dataclass(frozen=True)
class Calibration:
  """Calibration sums of any number of pixels, on the host.

  Attributes:
    gaps: int64 [g j], as in `CalibrationCounts`, over all blocks.
    pixels: number of pixels that count.
    invalid: number of valid pixels whose probability was not in [0, 1].
  """

  gaps: np.ndarray
  pixels: int = 0
  invalid: int = 0

  @classmethod
  def empty(cls, num_groups: int) -> 'Calibration':
    """Sums over no pixel."""
    return cls(np.zeros((num_groups, NUM_BINS), np.int64))

  def add(self, counts: CalibrationCounts) -> 'Calibration':
    """Returns these sums with those of one batch added."""
    return Calibration(
      gaps=self.gaps + np.asarray(counts.gaps).sum(axis=0, dtype=np.int64),
      pixels=self.pixels + int(counts.pixels),
      invalid=self.invalid + int(counts.invalid),
    )

  def merge(self, other: 'Calibration') -> 'Calibration':
    """Returns the sums over the pixels of both."""
    return Calibration(
      gaps=self.gaps + other.gaps,
      pixels=self.pixels + other.pixels,
      invalid=self.invalid + other.invalid,
    )

  def errors(self, group_pixels: np.ndarray) -> list[float | None]:
    """Expected calibration error of each group, and of all pixels last.

    ECE = sum over bins of (pixels in bin / pixels) * |accuracy of bin - mean
    confidence of bin|, to 5e-7.

    Args:
      group_pixels: int64 [g], pixels of each group in the whole data.

    Returns:
      `len(group_pixels)` + 1 values in [0, 1]; None where there is no pixel,
      and everywhere unless a probability was given for every pixel.
    """
    gaps = np.concatenate([self.gaps, self.gaps.sum(axis=0, keepdims=True)])
    totals = np.abs(gaps).sum(axis=1) / _UNIT
    sizes = np.append(group_pixels, group_pixels.sum())
    complete = self.pixels == sizes[-1]
    return [
      float(total / size) if complete and size else None
      for total, size in zip(totals, sizes)
    ]

  def to_arrays(self) -> dict[str, np.ndarray]:
    """The sums as named arrays, for saving."""
    return {
      'calibration_gaps': self.gaps,
      'calibration_pixels': np.asarray(self.pixels, np.int64),
      'calibration_invalid': np.asarray(self.invalid, np.int64),
    }

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'Calibration':
    """Restores what `to_arrays` gave; further arrays are ignored."""
    return cls(
      gaps=np.asarray(arrays['calibration_gaps'], np.int64),
      pixels=int(arrays['calibration_pixels']),
      invalid=int(arrays['calibration_invalid']),
    )
