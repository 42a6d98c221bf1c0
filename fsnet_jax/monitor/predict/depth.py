"""How far away things are, where somebody has measured it."""

from __future__ import annotations

import dataclasses
import pathlib
import threading
from collections.abc import Callable, Sequence

import numpy as np

from common_lib.console import say
from common_lib.errors import UserError
from common_lib.paths import expanded
from fsnet_jax.monitor.predict.inputs import Files, Input, Item
from input_pipeline import resizing
from input_pipeline.datasets import readers
from input_pipeline.files import images as image_files

# Cityscapes' official names, of folders and of what files end with.
_IMAGES, _DISPARITY, _CAMERA = 'leftImg8bit', 'disparity', 'camera'
_FIX = 'write it as grey PNG of 16 bits'
# Sides are rounded where a map is smaller than its image.
_TOLERANCE = 1.03

Paths = tuple[pathlib.Path, ...]
Reader = Callable[[Paths, tuple[int, int]], np.ndarray]


class Depths:
  """The depth of images that have it.

  Where a map cannot be used, that is told once; its image has no depth then.
  """

  def __init__(self, files: Callable[[Item], Paths], read: Reader):
    """Takes where maps are, and how they are read.

    Args:
      files: those of an image, which need not exist; () for none.
      read: float32 [h w], metres, NaN = no measurement, of files that exist,
        at a size; raises UserError.
    """
    self._files, self._read = files, read
    self._lock, self._told = threading.Lock(), False

  def of(self, item: Item, size: tuple[int, int]) -> np.ndarray | None:
    """Depth of an image; may be called from several threads at once.

    Args:
      item: the image.
      size: its (h, w).

    Returns:
      float32 [h w], metres, NaN = no measurement; None where there is none.
    """
    files = self._files(item)
    if not files:
      return None
    try:
      return self._read(files, size)
    except UserError as error:
      self._tell(item, str(error))
      return None

  def stamped(self, item: Item) -> Item:
    """The image with the stamps of its maps: it is done again if one changes.

    Args:
      item: the image.
    """
    stamp = [*item.stamp]
    for path in self._files(item):
      try:
        status = path.stat()
        stamp += [status.st_size, status.st_mtime_ns]
      except OSError:
        continue  # Once it is there, the stamp is another.
    return dataclasses.replace(item, stamp=tuple(stamp))

  def _tell(self, item: Item, problem: str) -> None:
    with self._lock:
      told, self._told = self._told, True
    if not told:
      say(
        f'note: {item.image} has no depth_m in segments.csv, nor have others '
        f'like it: {problem}'
      )


def folder_of(text: str, source: pathlib.Path) -> pathlib.Path | None:
  """The folder of depth maps; None where the user names none.

  Args:
    text: as the user named it.
    source: the input.

  Raises:
    UserError: there is none, or the images are in it.
  """
  if not text:
    return None
  folder = expanded(text).absolute()
  within = folder in (source.absolute(), *source.absolute().parents)
  if within or not folder.is_dir():
    problem = 'has the images of --input in it' if within else 'is no folder'
    raise UserError(
      f'config.predict.depth={text} {problem}: name a folder of depth maps '
      'alone, PNG files of 16 bits that are called as the images.'
    )
  return folder


def opened(
  folder: pathlib.Path | None, per_metre: float, images: Input
) -> Depths | None:
  """The depth of an input's images.

  Args:
    folder: with a map for each image, `NAME.png` where the image is `NAME.jpg`
      below the input, or frame `NAME`; None for what lies beside images of
      Cityscapes.
    per_metre: what a pixel of such a map has for a metre.
    images: of the input.

  Returns:
    None where there is nothing to look for.

  Raises:
    UserError: the folder has no map of any image.
  """
  if folder is None:
    return Depths(_stereo_files, _stereo) if isinstance(images, Files) else None

  def files(item: Item) -> Paths:
    return ((folder / item.image).with_suffix('.png'),)

  def read(paths: Paths, size: tuple[int, int]) -> np.ndarray:
    return _metres(paths[0], per_metre, size)

  first = next(iter(images.items), None)
  found = any(path.is_file() for one in images.items for path in files(one))
  if first is not None and not found:
    raise UserError(
      f'config.predict.depth={folder} has no depth map of any image of the '
      f'input: that of {first.image} would be {files(first)[0]}.'
    )
  return Depths(files, read)


def _metres(
  path: pathlib.Path, per_metre: float, size: tuple[int, int]
) -> np.ndarray:
  """A map of distances, float32 [h w] in metres; nearest pixel.

  Raises:
    UserError: it is missing, damaged, of other bits or another shape.
  """
  file = image_files.read(path, ('PNG',), fix=_FIX)
  if file.image.mode not in ('I;16', 'I'):
    raise UserError(
      f'{path}: its mode is {file.image.mode} and has {file.bits} bits, '
      f'expected grey of 16; {_FIX}'
    )
  wider = file.image.width / file.image.height * size[0] / size[1]
  if max(wider, 1 / wider) > _TOLERANCE:
    raise UserError(
      f'{path}: depth is {file.image.height}x{file.image.width}, its image '
      f'{size[0]}x{size[1]} (height x width), which is another shape; align it '
      'with the image'
    )
  stored = resizing.resize_map(file.image, size, 'squeeze', 0)
  return np.where(stored > 0, stored / np.float32(per_metre), np.nan).astype(
    np.float32
  )


def _stereo_files(item: Item) -> Paths:
  """Disparity and camera of an image of Cityscapes, where both are there."""
  path = item.path
  ending = f'_{_IMAGES}.png'
  if path is None or not path.name.endswith(ending):
    return ()
  folders = [above.name for above in path.parents]
  # split/city/name below it.
  if _IMAGES not in folders[:3]:
    return ()
  root = path.parents[folders.index(_IMAGES)]
  name = path.relative_to(root).as_posix().removesuffix(ending)
  found = (
    root.with_name(_DISPARITY) / f'{name}_{_DISPARITY}.png',
    root.with_name(_CAMERA) / f'{name}_{_CAMERA}.json',
  )
  return found if all(one.exists() for one in found) else ()


def _stereo(paths: Sequence[pathlib.Path], size: tuple[int, int]) -> np.ndarray:
  return readers.read_disparity_depth(*paths, image_size=size)
