"""What is drawn of an image: maps as files, an overlay, a small picture."""

from __future__ import annotations

import functools
import math

import cv2
import matplotlib
import numpy as np

from common_lib.class_table import ClassTable
from fsnet_jax.report import palette

# Of a small picture's parts. Both sides are whole blocks of a JPEG, so that
# no part bleeds into the one below.
_SMALL_WIDTH_PX, _LEAST_WIDTH_PX = 256, 128
_BLOCK_PX = 8
_MOST_BLOCKS = 128
_JPEG_QUALITY, _SMALL_QUALITY = 90, 82
# Of a map of P(wrong), for 1.
LARGEST_FAILURE = 65535
_TINT, _ERROR_TINT = 0.3, 0.5


def labels_png(labels: np.ndarray) -> bytes:
  """Class indices, 8 bits.

  Args:
    labels: uint8 [h w].
  """
  # Even areas, mostly as the row above: smaller, in a third of the time.
  options = [
    *(cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE),
    *(cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP),
  ]
  return _encoded('.png', labels, options)


def failure_png(failure: np.ndarray) -> bytes:
  """P(wrong) times 65535, 16 bits.

  Args:
    failure: float32 [h w] in [0, 1].
  """
  scaled = np.rint(failure.astype(np.float64) * LARGEST_FAILURE)
  # Its lowest bits are noise: a tenth larger than at best, in half the time.
  options = [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
  return _encoded('.png', scaled.astype(np.uint16), options)


def overlay_jpeg(picture: np.ndarray) -> bytes:
  """The file of an `overlay`."""
  return _jpeg(picture, _JPEG_QUALITY)


def overlay(
  image: np.ndarray,
  labels: np.ndarray,
  flagged: np.ndarray,
  classes: ClassTable,
) -> np.ndarray:
  """The image in the colours of its classes, with flagged pixels in red.

  Args:
    image: uint8 [h w 3].
    labels: uint8 [h w].
    flagged: bool [h w].
    classes: of the labels.

  Returns:
    uint8 [h w 3].
  """
  colors = classes.colorize(labels)
  drawn = cv2.addWeighted(image, 1 - _TINT, colors, _TINT, 0)
  grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
  grey = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
  red = cv2.LUT(grey, _reds())
  drawn = cv2.copyTo(red, flagged.astype(np.uint8), drawn)
  drawn[_edge(flagged)] = palette.WHITE
  return drawn


@functools.cache
def _reds() -> np.ndarray:
  """What each grey becomes where it is flagged, uint8 [1 256 3]."""
  greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
  error = np.full_like(greys, palette.ERROR)
  return cv2.addWeighted(greys, 1 - _ERROR_TINT, error, _ERROR_TINT, 0)


def _edge(flagged: np.ndarray) -> np.ndarray:
  """The line around flagged regions, bool [h w]; none on small images."""
  if min(flagged.shape) < 200:
    return np.zeros_like(flagged)
  radius = max(1, min(flagged.shape) // 500)
  kernel = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
  grown = cv2.dilate(flagged.astype(np.uint8), kernel)
  return grown.astype(bool) & ~flagged


def small_jpeg(
  image: np.ndarray,
  labels: np.ndarray,
  failure: np.ndarray,
  drawn: np.ndarray,
  classes: ClassTable,
) -> bytes:
  """Image, prediction, P(wrong) and overlay below each other, small.

  One file, so that a page of thousands of images changes from one to another
  without loading any.

  Args:
    image: uint8 [h w 3].
    labels: uint8 [h w].
    failure: float32 [h w] in [0, 1].
    drawn: uint8 [h w 3], the overlay.
    classes: of the labels.
  """
  size = small_size(*labels.shape)
  nearest = _resized(labels, size, cv2.INTER_NEAREST)
  level = _resized(failure, size, cv2.INTER_AREA)
  parts = [
    _resized(image, size, cv2.INTER_AREA),
    classes.colorize(nearest),
    failure_colors().take(np.rint(level * 255).astype(np.uint8), axis=0),
    _resized(drawn, size, cv2.INTER_AREA),
  ]
  return _jpeg(np.concatenate(parts), _SMALL_QUALITY)


def small_size(height: int, width: int) -> tuple[int, int]:
  """(h, w) of a part of a small picture, which is not blown up to be one."""
  own = math.ceil(width / _BLOCK_PX) * _BLOCK_PX
  small = min(max(own, _LEAST_WIDTH_PX), _SMALL_WIDTH_PX)
  scaled = small * height / width
  blocks = min(max(1, round(scaled / _BLOCK_PX)), _MOST_BLOCKS)
  return blocks * _BLOCK_PX, small


@functools.cache
def failure_colors() -> np.ndarray:
  """Colours of P(wrong) from 0 to 1, uint8 [256 3], as in the report."""
  steps = np.linspace(0, 1, 256)
  return matplotlib.colormaps['inferno'](steps, bytes=True)[:, :3]


def _resized(
  picture: np.ndarray, size: tuple[int, int], how: int
) -> np.ndarray:
  return cv2.resize(picture, (size[1], size[0]), interpolation=how)


def _jpeg(picture: np.ndarray, quality: int) -> bytes:
  """Without sharing colours between pixels: thin red lines stay red."""
  options = [
    cv2.IMWRITE_JPEG_QUALITY,
    quality,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
  ]
  return _encoded('.jpg', cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)


def _encoded(kind: str, picture: np.ndarray, options: list[int]) -> bytes:
  done, content = cv2.imencode(kind, picture, options)
  if not done:
    raise ValueError(f'no {kind} of {picture.dtype} {picture.shape}')
  return content.tobytes()
