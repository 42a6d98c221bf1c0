"""Reads images and labels that a user has made, with whatever tool."""

from __future__ import annotations

import dataclasses
import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from PIL import Image

from common_lib.class_table import UNDEFINED, VOID, ClassTable
from common_lib.errors import UserError
from input_pipeline import resizing
from input_pipeline.datasets import base, readers

_FIX = 'save it anew or remove it'
_MOST_NAMED = 5
# Values of no class that a few label files of ids have by chance: below that.
_FEWEST_FOREIGN = 3
_ID_MODES = ('L', 'P', 'I', 'I;16')
_COLOR_MODES = ('RGB', 'RGBA')


def load_scene(
  scene: base.Scene, request: base.DataRequest
) -> dict[str, np.ndarray]:
  """Reads the files of a scene, as `base.SceneBuilder.load` has to.

  Args:
    scene: its `origin` has 'image' and, if there is one, 'label', paths below
      the root.
    request: says where the root is, the size, and what ids and colours mean.

  Returns:
    'image', 'label' (void everywhere without a file) and, with
    `resize='letterbox'`, 'content'; see `base.Source`.

  Raises:
    UserError: as `read_image` and `read_label`, or the label is of another
      size than the image.
  """
  size, resize = request.image_size, request.resize
  path = request.folder / scene.origin['image']
  if 'label' in scene.origin:
    label_path = request.folder / scene.origin['label']
    indices = Image.fromarray(read_label(label_path, request.classes))
    image = read_image(path, indices.size)
    if image.size != indices.size:
      raise UserError(
        f'{label_path}: label is {indices.height}x{indices.width}, its image is'
        f' {image.height}x{image.width} (height x width); {_FIX}'
      )
    label = resizing.resize_map(indices, size, resize, VOID)
  else:
    image = read_image(path, None)
    label = np.full(size, VOID, np.uint8)
  arrays = {
    'image': resizing.resize_image(image, size, resize),
    'label': label,
  }
  if resize == 'letterbox':
    box = resizing.content_box((image.height, image.width), size, resize)
    arrays['content'] = np.array(box, np.int32)
  return arrays


def read_image(
  path: pathlib.Path, label_size: tuple[int, int] | None
) -> Image.Image:
  """Reads an image as RGB, upright.

  Args:
    path: PNG or JPEG of 8 bits: RGB, a palette, or grey, which becomes three
      equal channels; an alpha channel has to be opaque.
    label_size: (w, h) of its label; None if it has none. See
      `readers.upright`.

  Raises:
    UserError: it is missing, damaged, of another mode or depth, or to be
      turned in a way that the label does not confirm.
  """
  file = readers.image_file(path, fix=_FIX)
  image = file.image
  if 'A' in image.mode or 'transparency' in image.info:
    image = image.convert('RGBA')
    _check_opaque(image, path)
  elif image.mode not in ('RGB', 'L', '1', 'P'):
    raise UserError(f'{path}: mode is {image.mode}; save it as RGB')
  file = dataclasses.replace(file, image=image.convert('RGB'))
  return readers.upright(file, label_size, path)


def read_label(path: pathlib.Path, table: ClassTable) -> np.ndarray:
  """Reads a label.

  Args:
    path: PNG of one channel of ids (8 or 16 bits; of a palette the index
      counts, not the colour), or of the table's colours (RGB of 8 bits, an
      alpha channel has to be opaque). Black is void unless it is a class's.
    table: gives ids and colours.

  Returns:
    uint8 [h, w], class indices, 255 = void.

  Raises:
    UserError: it is missing, damaged, of another mode or depth, or holds an id
      or colour that the table does not have. All pixels are checked.
  """
  file = readers.label_file(path, fix=_FIX)
  mode = file.image.mode
  if mode in _COLOR_MODES:
    if file.bits != 8:
      raise UserError(
        f'{path}: has {file.bits} bits per channel, expected 8; save it with 8'
      )
    if mode == 'RGBA':
      _check_opaque(file.image, path)
    pixels = np.asarray(file.image.convert('RGB')).astype(np.uint32)
    values = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
    indices = _of_colors(table)[values]
  elif mode in _ID_MODES:
    values = np.asarray(file.image)
    indices = _of_ids(table)[values]
  else:
    raise UserError(
      f'{path}: mode is {mode}, expected one channel of ids or RGB in the'
      f' colours of the class table; {_FIX}'
    )
  wrong = indices == UNDEFINED
  if wrong.any():
    raise UserError(_unknown(path, values[wrong], mode in _COLOR_MODES))
  return indices


def are_indices(paths: Sequence[pathlib.Path], table: ClassTable) -> bool:
  """Whether label files hold indices of a table's classes, and not its ids.

  Args:
    paths: of some files; damaged ones say nothing here.
    table: whose ids reach beyond its indices.

  Returns:
    True where no value is an index too large and several are ids of no class.
  """
  found: set[int] = set()
  for path in paths:
    try:
      image = readers.label_file(path, fix=_FIX).image
    except UserError:
      continue  # Whoever reads it for good says what is wrong.
    if image.mode in _ID_MODES:
      found |= set(np.unique(np.asarray(image)).tolist())
  found.discard(VOID)
  ids = {one for own in table.ids for one in own}
  small = bool(found) and max(found) < table.num_classes
  return small and len(found - ids) >= _FEWEST_FOREIGN


def _check_opaque(image: Image.Image, path: pathlib.Path) -> None:
  """Raises `UserError` where something shines through."""
  if image.getchannel('A').getextrema() != (255, 255):
    raise UserError(
      f'{path}: has transparent pixels; save it without an alpha channel'
    )


@functools.lru_cache(maxsize=2)
def _of_ids(table: ClassTable) -> np.ndarray:
  """Class index of each 16-bit id, uint8 [65536]."""
  indices = np.full(2**16, UNDEFINED, np.uint8)
  indices[: len(table.lookup)] = table.lookup
  return indices


@functools.lru_cache(maxsize=2)
def _of_colors(table: ClassTable) -> np.ndarray:
  """Class index of each colour, red first, uint8 [2**24]."""
  indices = np.full(2**24, UNDEFINED, np.uint8)
  indices[0] = VOID
  for index, (red, green, blue) in enumerate(table.colors):
    indices[red << 16 | green << 8 | blue] = index
  return indices


def _unknown(path: pathlib.Path, values: np.ndarray, colors: bool) -> str:
  """The sentence on values that the table does not have.

  Args:
    path: of the label.
    values: of the wrong pixels, [n].
    colors: whether they are colours, red first in 24 bits.
  """
  found, counts = np.unique(values, return_counts=True)
  order = np.argsort(-counts, kind='stable')
  named = []
  for place in order[:_MOST_NAMED]:
    value, count = int(found[place]), int(counts[place])
    name = str(value)
    if colors:
      name = f'({value >> 16}, {value >> 8 & 255}, {value & 255})'
    named.append(f'{name} ({count} pixel{"s" * (count > 1)})')
  more = len(found) - len(named)
  return (
    f'{path}: the class table has no {"colour" if colors else "id"}'
    f' {", ".join(named)}{f" and {more} more" if more else ""}; in classes.json'
    f' give it to a class{"" if colors else " or to void_ids"}, or correct the'
    ' file'
  )
