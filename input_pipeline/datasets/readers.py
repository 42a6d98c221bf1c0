"""Reads image, label and disparity files; a damaged one is a `UserError`.

Every message starts with the file's name and ends with the mend. Images are
resized with PIL's bicubic filter and labels with its nearest, as SynthCP does
(`data/base_dataset.py`): PIL samples label pixels at their centres and filters
images before shrinking them, which other libraries do otherwise.
"""

from __future__ import annotations

import json
import pathlib

import numpy as np
from PIL import Image

from common_lib import class_table
from common_lib.errors import UserError

_RESTORE = 'restore it from the original data set or remove the scene'
_ID_MODES = ('L', 'P', 'I', 'I;16')


def read_scene(
  image_path: pathlib.Path,
  label_path: pathlib.Path,
  image_size: tuple[int, int],
  table: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
  """Reads an image and its label and resizes both.

  Args:
    image_path: an RGB file (PNG or JPEG, 8 bits).
    label_path: a file of one channel of ids, as large as the image; of a
      palette file the indices count, not the colours.
    image_size: (h, w) of the result.
    table: lookup array of `labels.lookup_table`.

  Returns:
    image uint8 [h, w, 3] RGB and label uint8 [h, w], trainIds or 255.

  Raises:
    UserError: a file is missing, truncated, of another mode or size, or holds
      an id that the data set does not define. All pixels are checked, also
      those that resizing drops.
  """
  image = _open(image_path)
  if image.mode != 'RGB':
    raise UserError(
      f'{image_path}: mode is {image.mode}, expected RGB; {_RESTORE}'
    )
  label = _open(label_path)
  if label.mode not in _ID_MODES:
    raise UserError(
      f'{label_path}: mode is {label.mode}, expected one channel of label ids'
      ' (is it the coloured version?); use the file of ids'
    )
  if label.size != image.size:
    raise UserError(
      f'{label_path}: label is {_size(label)}, its image is {_size(image)}'
      f' (height x width); {_RESTORE}'
    )
  train_ids = class_table.remap(np.asarray(label), table, label_path)
  height, width = image_size
  resized = Image.fromarray(train_ids).resize(
    (width, height), Image.Resampling.NEAREST
  )
  image = image.resize((width, height), Image.Resampling.BICUBIC)
  return np.asarray(image), np.asarray(resized)


def read_disparity_depth(
  disparity_path: pathlib.Path,
  camera_path: pathlib.Path,
  image_size: tuple[int, int],
) -> np.ndarray:
  """Reads a Cityscapes disparity map as depth.

  disparity d = (p - 1) / 256 pixels for a stored 16-bit p > 0; depth =
  baseline * focal length / d. Source: the README of `cityscapesscripts`.

  Args:
    disparity_path: 16-bit PNG of p; p = 0 means no measurement.
    camera_path: JSON with `extrinsic.baseline` (metres) and `intrinsic.fx`
      (pixels).
    image_size: (h, w) of the result; nearest pixel, so that no depth between
      an object and its background is invented.

  Returns:
    float32 [h, w], metres; NaN where there is no measurement or d = 0.

  Raises:
    UserError: a file is missing, damaged or of another format.
  """
  disparity = _open(disparity_path)
  if disparity.mode not in ('I;16', 'I'):
    raise UserError(
      f'{disparity_path}: mode is {disparity.mode}, expected 16 bits;'
      f' {_RESTORE}'
    )
  scale = _camera_scale(camera_path)
  height, width = image_size
  stored = np.asarray(
    disparity.resize((width, height), Image.Resampling.NEAREST), np.float32
  )
  pixels = (stored - 1) / 256
  measured = pixels > 0
  depth = np.full(image_size, np.nan, np.float32)
  depth[measured] = scale / pixels[measured]
  return depth


def _camera_scale(path: pathlib.Path) -> float:
  """Baseline times focal length, metres x pixels."""
  try:
    camera = json.loads(path.read_text())
    scale = camera['extrinsic']['baseline'] * camera['intrinsic']['fx']
  except FileNotFoundError:
    raise UserError(f'{path}: file is missing; {_RESTORE}') from None
  except (OSError, ValueError, KeyError, TypeError) as error:
    raise UserError(
      f'{path}: not a Cityscapes camera file ({error!r}); {_RESTORE}'
    ) from error
  return float(scale)


def _open(path: pathlib.Path) -> Image.Image:
  """Decodes a whole image file."""
  try:
    with Image.open(path) as image:
      image.load()
      return image
  except FileNotFoundError:
    raise UserError(f'{path}: file is missing; {_RESTORE}') from None
  # PIL raises all of these for damaged content, depending on the format and
  # on where the damage is.
  except (OSError, SyntaxError, ValueError, EOFError, IndexError) as error:
    raise UserError(
      f'{path}: cannot be decoded ({error}); {_RESTORE}'
    ) from error
  except Image.DecompressionBombError as error:
    raise UserError(f'{path}: {error}; {_RESTORE}') from error


def _size(image: Image.Image) -> str:
  return f'{image.height}x{image.width}'
