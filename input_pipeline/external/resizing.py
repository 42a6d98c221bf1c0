"""Bilinear resizing of images and logits, as PyTorch does it.

Pixels are areas: output pixel i of n has its centre at (i + 0.5) / n of the
image, and beyond the border stands the border. That is
`torch.nn.functional.interpolate(mode='bilinear', align_corners=False)`, and
with `antialias` what `antialias=True`, torchvision and Pillow do when an image
becomes smaller.
"""

from __future__ import annotations

import functools
import math

import numpy as np


def resize(
  arrays: np.ndarray, size: tuple[int, int], *, antialias: bool = False
) -> np.ndarray:
  """Resizes bilinearly.

  Args:
    arrays: [b h w c], of any type of numbers.
    size: new height and width.
    antialias: whether a pixel of a smaller result is the mean of all that it
      covers, and not of the nearest two in each direction.

  Returns:
    float32 [b *size c].
  """
  arrays = arrays.astype(np.float32, copy=False)
  for axis in (1, 2):
    if arrays.shape[axis] != size[axis - 1]:
      arrays = _along(arrays, axis, size[axis - 1], antialias)
  return arrays


def _along(
  arrays: np.ndarray, axis: int, length: int, antialias: bool
) -> np.ndarray:
  """One axis of `resize`."""
  places, weights = taps(arrays.shape[axis], length, antialias)
  shape = [1] * arrays.ndim
  shape[axis] = length
  total = None
  for place, weight in zip(places, weights, strict=True):
    part = np.take(arrays, place, axis)
    part *= weight.reshape(shape)
    total = part if total is None else np.add(total, part, out=total)
  assert total is not None
  return total


@functools.lru_cache(maxsize=64)
def taps(old: int, new: int, antialias: bool) -> tuple[np.ndarray, np.ndarray]:
  """Which inputs an output is a mean of, and with what weights, [taps new]."""
  step = old / new
  reach = max(step, 1.0) if antialias else 1.0
  centers = (np.arange(new) + 0.5) * step
  # All whose middle is nearer than that.
  first = np.floor(centers - reach - 0.5).astype(int) + 1
  inputs = first + np.arange(math.ceil(2 * reach))[:, None]
  weights = np.maximum(1 - abs(inputs + 0.5 - centers) / reach, 0)
  if antialias:
    # What lies outside does not count; the rest of the weights do.
    weights = weights * ((inputs >= 0) & (inputs < old))
  weights /= weights.sum(0)
  used = weights.any(1)
  places = np.clip(inputs, 0, old - 1)
  return places[used], weights[used].astype(np.float32)
