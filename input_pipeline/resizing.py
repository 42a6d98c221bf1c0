"""Brings images and labels of any size to the one that a run works at.

Images are resized with Pillow's bicubic filter and labels with its nearest, as
SynthCP does (`data/base_dataset.py`): Pillow samples label pixels at their
centres and filters images before shrinking them, which other libraries do
otherwise.

'squeeze' takes no notice of the aspect ratio, as SynthCP and FSNet do not.
'letterbox' keeps it: the scene lies in the middle, between two bars that are
void in the label.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

METHODS = ('squeeze', 'letterbox')

# Mean colour of ImageNet: what image pixels without a scene are filled with.
FILL = (124, 116, 104)

_NEAREST = Image.Resampling.NEAREST


def content_box(
  size: tuple[int, int], target: tuple[int, int], method: str
) -> tuple[int, int, int, int]:
  """Where the scene lies in the result.

  Args:
    size: (h, w) of the original, pixels.
    target: (h, w) of the result.
    method: of `METHODS`.

  Returns:
    Top, left, bottom and right, the last two exclusive, pixels of the result.
  """
  if method == 'squeeze':
    return 0, 0, *target
  scale = min(target[0] / size[0], target[1] / size[1])
  height, width = (
    min(whole, max(1, round(side * scale))) for side, whole in zip(size, target)
  )
  top, left = (target[0] - height) // 2, (target[1] - width) // 2
  return top, left, top + height, left + width


def resize_image(
  image: Image.Image, target: tuple[int, int], method: str
) -> np.ndarray:
  """Resizes an RGB image, bicubic; uint8 [h, w, 3]."""
  box = content_box((image.height, image.width), target, method)
  inside = np.asarray(_fitted(image, box, Image.Resampling.BICUBIC))
  canvas = np.empty((*target, 3), np.uint8)
  canvas[:] = FILL
  return _placed(inside, box, canvas)


def resize_map(
  values: Image.Image, target: tuple[int, int], method: str, outside: int
) -> np.ndarray:
  """Resizes a map of one channel, nearest.

  Args:
    values: ids or measurements.
    target: (h, w) of the result.
    method: of `METHODS`.
    outside: value of the bars.

  Returns:
    [h, w] of the map's own type.
  """
  box = content_box((values.height, values.width), target, method)
  inside = np.asarray(_fitted(values, box, _NEAREST))
  return _placed(inside, box, np.full(target, outside, inside.dtype))


def _fitted(
  image: Image.Image,
  box: tuple[int, int, int, int],
  filtering: Image.Resampling,
) -> Image.Image:
  top, left, bottom, right = box
  return image.resize((right - left, bottom - top), filtering)


def _placed(
  inside: np.ndarray, box: tuple[int, int, int, int], canvas: np.ndarray
) -> np.ndarray:
  """`inside` where the box is; itself where it fills the canvas."""
  if inside.shape == canvas.shape:
    return inside
  top, left, bottom, right = box
  canvas[top:bottom, left:right] = inside
  return canvas
