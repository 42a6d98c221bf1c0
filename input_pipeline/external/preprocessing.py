"""Images as a network from elsewhere takes them."""

from __future__ import annotations

import functools

import numpy as np

from input_pipeline.external.description import InputFormat
from input_pipeline.external.resizing import resize


def prepare(
  images: np.ndarray, how: InputFormat, *, channels_first: bool
) -> np.ndarray:
  """(image / scale - mean) / std, in the network's order, size and layout.

  Images of another size are resized before that, bilinearly; what becomes
  smaller is antialiased, as Pillow and torchvision do it, but not rounded to
  whole numbers.

  Args:
    images: uint8 [b h w 3], RGB.
    how: see `InputFormat`.
    channels_first: whether the result is [b 3 h w].

  Returns:
    float32 [b h w 3] or [b 3 h w], contiguous.
  """
  if how.color == 'BGR':
    images = images[..., ::-1]
  if how.size is not None and how.size != images.shape[1:3]:
    values = _normalized(resize(images, how.size, antialias=True), how)
  else:
    # Each of 256 values once, and not each pixel.
    table = _table(how.scale, how.mean, how.std)
    values = np.empty(images.shape, np.float32)
    for channel in range(3):
      values[..., channel] = table[:, channel][images[..., channel]]
  if channels_first:
    values = values.transpose(0, 3, 1, 2)
  return np.ascontiguousarray(values)


def _normalized(values: np.ndarray, how: InputFormat) -> np.ndarray:
  mean, std = (np.array(three, np.float32) for three in (how.mean, how.std))
  return (values / np.float32(how.scale) - mean) / std


@functools.lru_cache(maxsize=64)
def _table(
  scale: float,
  mean: tuple[float, float, float],
  std: tuple[float, float, float],
) -> np.ndarray:
  """What each value of a channel becomes, float32 [256 3]."""
  values = np.arange(256, dtype=np.float32)[:, None]
  return _normalized(values, InputFormat(scale=scale, mean=mean, std=std))
