"""Images of another size than networks work at, in and out.

As training does it: images bicubic, in Pillow's way. Labels come back nearest,
P(wrong) bilinear.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable

import numpy as np

from common_lib.errors import UserError

Networks = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def call(
  networks: Networks, images: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
  """Labels and P(wrong) of images, at the images' own size.

  Args:
    networks: labels uint8 and P(wrong) float32 [b h w] of images at `size`.
    images: uint8 [b h w 3], of any size.
    size: (h, w) that the networks work at.

  Raises:
    UserError: images have another size, and Pillow is missing.
  """
  own = (images.shape[1], images.shape[2])
  if own == size:
    return networks(images)
  labels, failure = networks(fitted(images, size))
  return (
    np.stack([_label_at(one, own) for one in labels]),
    np.stack([_map_at(one, own) for one in failure]),
  )


def fitted(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """Images uint8 [b h w 3] at another size, as training has them.

  Raises:
    UserError: Pillow is missing.
  """
  if importlib.util.find_spec('PIL') is None:
    raise UserError(
      f'Images of {images.shape[1]}x{images.shape[2]} are resized to '
      f'{size[0]}x{size[1]}, for which Pillow is missing: pip install pillow.'
    )
  from PIL import Image

  from input_pipeline import resizing

  return np.stack(
    [
      resizing.resize_image(Image.fromarray(image), size, 'squeeze')
      for image in images
    ]
  )


def _label_at(label: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """A label map at another size, nearest."""
  from PIL import Image

  from input_pipeline import resizing

  return resizing.resize_map(Image.fromarray(label), size, 'squeeze', 0)


def _map_at(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
  """A float32 map at another size, bilinear."""
  from PIL import Image

  resized = Image.fromarray(values).resize(
    (size[1], size[0]), Image.Resampling.BILINEAR
  )
  return np.clip(np.asarray(resized, np.float32), 0, 1)
