"""Reads image, label and disparity files; a damaged one is a `UserError`.

Every message starts with the file's name and ends with the fix. Sizes are
changed as `resizing` says.
"""

from __future__ import annotations

import math
import pathlib

import numpy as np
from PIL import Image

from common_lib import class_table
from common_lib.errors import UserError
from common_lib.files import read_json_object
from common_lib.foreign import quoted
from input_pipeline import resizing
from input_pipeline.datasets import base
from input_pipeline.files import images

_RESTORE = 'restore it from the original data set or remove the scene'
_ID_MODES = ('L', 'P', 'I', 'I;16')
# EXIF orientations that exchange height and width, and what undoes them.
_TURNS = {
  5: Image.Transpose.TRANSPOSE,
  6: Image.Transpose.ROTATE_270,
  7: Image.Transpose.TRANSVERSE,
  8: Image.Transpose.ROTATE_90,
}


def load_scene(
  scene: base.Scene, request: base.DataRequest, table: np.ndarray
) -> dict[str, np.ndarray]:
  """Reads the files of a scene, as `base.SceneBuilder.load` has to.

  Args:
    scene: its `origin` has 'image' and 'label', paths below the root.
    request: says where the root is, the size, and how to reach it.
    table: as `read_scene` takes it.

  Returns:
    'image', 'label' and, with `resize='letterbox'`, 'content'; see
    `base.Source`.

  Raises:
    UserError: as `read_scene`.
  """
  label_path = request.folder / scene.origin['label']
  size = request.image_size
  image, label = read_scene(
    request.folder / scene.origin['image'],
    label_path,
    size,
    table,
    request.resize,
  )
  arrays = {'image': image, 'label': label}
  if request.resize == 'letterbox':
    # Image and label have one size, once the image is upright.
    stored_size = images.header_size(label_path)
    assert stored_size is not None  # The label has just been read.
    box = resizing.content_box(stored_size, size, request.resize)
    arrays['content'] = np.array(box, np.int32)
  return arrays


def read_scene(
  image_path: pathlib.Path,
  label_path: pathlib.Path,
  image_size: tuple[int, int],
  table: np.ndarray,
  resize: str = 'squeeze',
) -> tuple[np.ndarray, np.ndarray]:
  """Reads an image and its label and resizes both.

  Args:
    image_path: an RGB file (PNG or JPEG, 8 bits). Where its EXIF turns it by
      a quarter, and the label has the turned size, it is turned.
    label_path: a PNG file of one channel of ids, as large as the image; of a
      palette file the indices count, not the colours.
    image_size: (h, w) of the result.
    table: lookup array of `class_table.lookup_table`.
    resize: of `resizing.METHODS`.

  Returns:
    image uint8 [h, w, 3] RGB and label uint8 [h, w], trainIds or 255.

  Raises:
    UserError: a file is missing, truncated, of another format, depth, mode or
      size, is to be turned in a way that the label does not confirm, or holds
      an id that the data set does not define. All pixels are checked, also
      those that resizing drops.
  """
  file = image_file(image_path)
  if file.image.mode != 'RGB':
    raise UserError(
      f'{image_path}: mode is {file.image.mode}, expected RGB; {_RESTORE}'
    )
  label = _read_ids(label_path)
  image = upright(file, label.size, image_path)
  if label.size != image.size:
    raise UserError(
      f'{label_path}: label is {_size(label)}, its image is {_size(image)}'
      f' (height x width); {_RESTORE}'
    )
  train_ids = class_table.remap(np.asarray(label), table, label_path)
  return (
    resizing.resize_image(image, image_size, resize),
    resizing.resize_map(
      Image.fromarray(train_ids), image_size, resize, class_table.VOID
    ),
  )


def read_disparity_depth(
  disparity_path: pathlib.Path,
  camera_path: pathlib.Path,
  image_size: tuple[int, int],
  resize: str = 'squeeze',
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
    resize: of `resizing.METHODS`.

  Returns:
    float32 [h, w], metres; NaN where there is no measurement, d = 0 or no
    scene.

  Raises:
    UserError: a file is missing, damaged or of another format.
  """
  file = images.read(disparity_path, ('PNG',), fix=_RESTORE)
  if file.image.mode not in ('I;16', 'I'):
    raise UserError(
      f'{disparity_path}: mode is {file.image.mode}, expected 16 bits;'
      f' {_RESTORE}'
    )
  scale = _camera_scale(camera_path)
  stored = resizing.resize_map(file.image, image_size, resize, 0)
  pixels = (stored.astype(np.float32) - 1) / 256
  measured = pixels > 0
  depth = np.full(image_size, np.nan, np.float32)
  depth[measured] = scale / pixels[measured]
  return depth


def image_file(path: pathlib.Path, fix: str = _RESTORE) -> images.ImageFile:
  """An image's file of 8 bits.

  Args:
    path: PNG or JPEG.
    fix: what the user can do about a damaged one, for the message.

  Raises:
    UserError: it is missing, damaged, or has more bits.
  """
  file = images.read(path, fix=fix)
  if file.bits > 8:
    raise UserError(
      f'{path}: has {file.bits} bits per channel, expected 8; save it'
      ' with 8, as dark or light as it has to be seen'
    )
  return file


def label_file(path: pathlib.Path, fix: str = _RESTORE) -> images.ImageFile:
  """A label's file, of any mode.

  Args:
    path: PNG.
    fix: as `image_file`.

  Raises:
    UserError: it is missing, damaged, of too few bits or to be turned.
  """
  file = images.read(path, ('PNG',), fix=fix)
  if file.image.mode in ('1', 'L') and file.bits < 8:
    raise UserError(
      f'{path}: has {file.bits} bits of grey per pixel, which programs read as'
      ' ids or as shades of 0 to 255; save it with 8 bits'
    )
  if file.orientation != 1:
    raise UserError(
      f'{path}: its EXIF orientation is {quoted(file.orientation, 20)}, which'
      ' a label cannot have; save it as it has to be seen, without EXIF'
    )
  return file


def _read_ids(path: pathlib.Path) -> Image.Image:
  """A label's file, whose pixels are ids."""
  image = label_file(path).image
  if image.mode not in _ID_MODES:
    raise UserError(
      f'{path}: mode is {image.mode}, expected one channel of label ids'
      ' (is it the coloured version?); use the file of ids'
    )
  return image


def upright(
  file: images.ImageFile,
  label_size: tuple[int, int] | None,
  path: pathlib.Path,
) -> Image.Image:
  """The image as its label has it.

  Programs differ in whether they obey EXIF. Where it exchanges height and
  width, the label's size tells whether the person who drew it saw the image
  turned; a mirrored image, or a square one, tells nothing.

  Args:
    file: the image.
    label_size: (w, h) of its label, pixels; None if it has none.
    path: of the image.

  Raises:
    UserError: it is to be turned, and no label confirms it.
  """
  image, orientation = file.image, file.orientation
  if orientation == 1:
    return image
  turned_size = image.size[::-1]
  if orientation in _TURNS and label_size == turned_size != image.size:
    return image.transpose(_TURNS[orientation])
  raise UserError(
    f'{path}: its EXIF orientation is {quoted(orientation, 20)}, and'
    f' {"no" if label_size is None else "its"} label'
    f' {"shows" if label_size is None else "does not show"} whether it was'
    ' drawn on the turned image; turn the pixels as the label has them and'
    ' remove the EXIF orientation'
  )


def _camera_scale(path: pathlib.Path) -> float:
  """Baseline times focal length, metres x pixels."""
  if not path.is_file():  # a pipe would be waited for
    raise UserError(f'{path}: file is missing; {_RESTORE}')
  camera = read_json_object(path, what='a Cityscapes camera file', fix=_RESTORE)
  product = 1.0
  for section, name in (('extrinsic', 'baseline'), ('intrinsic', 'fx')):
    group = camera.get(section)
    value = group.get(name) if isinstance(group, dict) else None
    known = isinstance(value, (int, float)) and not isinstance(value, bool)
    # Whole numbers of hundreds of digits are valid JSON.
    if not known or not 0 < value < 1e9 or not math.isfinite(value):
      raise UserError(
        f'{path}: not a Cityscapes camera file ({section}.{name} is'
        f' {quoted(value, 40)}, expected a positive number); {_RESTORE}'
      )
    product *= value
  return product


def _size(image: Image.Image) -> str:
  return f'{image.height}x{image.width}'
