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

# Confidence is summed as whole multiples of 2^-24, in two parts of 12 bits:
# integer sums do not depend on the order of pixels, batches or devices. The
# parts of a block of 2^18 pixels add up to at most 2^30.
_BITS = 12
_BLOCK_BITS = 18


@flax.struct.dataclass
class CalibrationCounts:
  """Sums of one batch, int32, by block of pixels k, group g and bin j.

  Attributes:
    pixels: int32 [k g 2 j]; the third axis is wrong (0), right (1).
    confidence_high: int32 [k g j], sums of the upper 12 bits of confidence.
    confidence_low: int32 [k g j], sums of the lower 12 bits.
    invalid: int32 [], valid pixels whose probability is not in [0, 1].
  """

  pixels: Any
  confidence_high: Any
  confidence_low: Any
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
  whole = jnp.round(confidence * 2.0 ** (2 * _BITS)).astype(jnp.int32)
  size = probability.size
  blocks = -(-size // (1 << _BLOCK_BITS)) or 1
  block = jnp.arange(size, dtype=jnp.int32) >> _BLOCK_BITS
  cells = blocks * num_groups * NUM_BINS
  cell = (block * num_groups + group) * NUM_BINS + bins
  shape = (blocks, num_groups, NUM_BINS)

  def sums(values: Array | int) -> Array:
    return sum_by_cell(cell, counted, cells, values).reshape(shape)

  right = sums((~wrong).astype(jnp.int32))
  return CalibrationCounts(
    pixels=jnp.stack([sums(1) - right, right], axis=2),
    confidence_high=sums(whole >> _BITS),
    confidence_low=sums(whole & ((1 << _BITS) - 1)),
    invalid=jnp.sum(valid & ~proper, dtype=jnp.int32),
  )


@dataclasses.dataclass(frozen=True)
class Calibration:
  """Calibration sums of any number of pixels, on the host.

  Attributes:
    pixels: int64 [g 2 j], pixels by group, wrong (0) or right (1), and bin.
    confidence: int64 [g j], summed confidence in units of 2^-24.
    invalid: number of valid pixels whose probability was not in [0, 1].
  """

  pixels: np.ndarray
  confidence: np.ndarray
  invalid: int

  @classmethod
  def empty(cls, num_groups: int) -> 'Calibration':
    """Sums over no pixel."""
    return cls(
      pixels=np.zeros((num_groups, 2, NUM_BINS), np.int64),
      confidence=np.zeros((num_groups, NUM_BINS), np.int64),
      invalid=0,
    )

  def add(self, counts: CalibrationCounts) -> 'Calibration':
    """Returns these sums with those of one batch added."""
    high = np.asarray(counts.confidence_high).sum(axis=0, dtype=np.int64)
    low = np.asarray(counts.confidence_low).sum(axis=0, dtype=np.int64)
    pixels = np.asarray(counts.pixels).sum(axis=0, dtype=np.int64)
    return Calibration(
      pixels=self.pixels + pixels,
      confidence=self.confidence + (high << _BITS) + low,
      invalid=self.invalid + int(counts.invalid),
    )

  def merge(self, other: 'Calibration') -> 'Calibration':
    """Returns the sums over the pixels of both."""
    return Calibration(
      pixels=self.pixels + other.pixels,
      confidence=self.confidence + other.confidence,
      invalid=self.invalid + other.invalid,
    )

  def errors(self, group_pixels: np.ndarray) -> list[float | None]:
    """Expected calibration error of each group, and of all pixels last.

    ECE = sum over bins of (pixels in bin / pixels) * |accuracy of bin - mean
    confidence of bin|, exact to 2^-25 of confidence.

    Args:
      group_pixels: int64 [g], pixels of each group in the whole data.

    Returns:
      `len(group_pixels)` + 1 values in [0, 1]; None where there is no pixel,
      or where a probability was not given for every pixel.
    """
    pixels = np.concatenate([self.pixels, self.pixels.sum(0, keepdims=True)])
    confidence = np.concatenate(
      [self.confidence, self.confidence.sum(0, keepdims=True)]
    )
    right = pixels[:, 1].astype(np.float64)
    gaps = np.abs(right - confidence * 2.0 ** (-2 * _BITS)).sum(axis=-1)
    totals = pixels.sum(axis=(1, 2))
    expected = np.append(group_pixels, group_pixels.sum())
    return [
      float(gap / total) if total and total == size else None
      for gap, total, size in zip(gaps, totals, expected)
    ]

  def to_arrays(self) -> dict[str, np.ndarray]:
    """The sums as named arrays, for saving."""
    return {
      'calibration_pixels': self.pixels,
      'calibration_confidence': self.confidence,
      'calibration_invalid': np.asarray(self.invalid, np.int64),
    }

  @classmethod
  def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> 'Calibration':
    """Restores what `to_arrays` gave; further arrays are ignored."""
    return cls(
      pixels=np.asarray(arrays['calibration_pixels'], np.int64),
      confidence=np.asarray(arrays['calibration_confidence'], np.int64),
      invalid=int(arrays['calibration_invalid']),
    )
