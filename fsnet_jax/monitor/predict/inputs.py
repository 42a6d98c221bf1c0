"""Folders, globs and single files of images: which there are, and how read."""

from __future__ import annotations

import copy
import dataclasses
import functools
import glob
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image, ImageOps

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline.files import images

IMAGES = ('.png', '.jpg', '.jpeg')
# They are somebody's images, too: each is a row that says so.
_UNSUPPORTED = ('.bmp', '.gif', '.heic', '.jp2', '.tif', '.tiff', '.webp')
VIDEOS = ('.avi', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')
_MAGIC = re.compile(r'[*?[]')
_FIX = '@'
# Of a side: no JPEG has more, and the overlay is one.
_LONGEST_PX = 65_500


@dataclasses.dataclass(frozen=True)
class Item:
  """One image of an input.

  Attributes:
    image: what it is called: its path below the input, or the frame's name.
    name: of what is written of it, a path below a folder, without a suffix.
    group: the folder that it is in, below the input; '' for the topmost.
    stamp: size and time of change of its file; none of a frame.
    path: its file; None of a frame.
  """

  image: str
  name: str
  group: str
  stamp: tuple[int, ...] = ()
  path: pathlib.Path | None = None


@dataclasses.dataclass(frozen=True)
class Pending:
  """An image that is to be predicted on.

  Attributes:
    item: which one.
    read: returns uint8 [h w 3], or raises UserError with what is wrong.
    pixels: how many it will have, as far as that is known.
  """

  item: Item
  read: Callable[[], np.ndarray]
  pixels: int


@runtime_checkable
class Input(Protocol):
  """What is predicted on.

  Attributes:
    items: the images, in their order; of a video, those it says it has.
    total: their number.
  """

  @property
  def items(self) -> Iterable[Item]:
    """See above."""
    ...

  @property
  def total(self) -> int:
    """See above."""
    ...

  def pending(self, done: Callable[[Item], bool]) -> Iterator[Pending]:
    """The images that are not done, in their order.

    Args:
      done: asked of each image.
    """
    ...


class Files:
  """Images that are files.

  Attributes:
    base: folder that they are named from.
    items: of the files, by their paths.
    total: see `Input`.
  """

  def __init__(self, base: pathlib.Path, paths: Sequence[pathlib.Path]):
    """Takes the files.

    Args:
      base: folder that they are named from.
      paths: of the files, below it.
    """
    self.base = base
    relative = sorted(path.relative_to(base).as_posix() for path in paths)
    names = output_names(relative)
    self.items = tuple(
      _item(base, image, name) for image, name in zip(relative, names)
    )
    self.total = len(self.items)

  def part(self, items: Sequence[Item]) -> Files:
    """Some of the images, under the names that they have among all."""
    found = copy.copy(self)
    found.items, found.total = tuple(items), len(items)
    return found

  def pending(self, done: Callable[[Item], bool]) -> Iterator[Pending]:
    """See `Input`."""
    for item in self.items:
      path = item.path
      if path is not None and not done(item):
        height, width = images.header_size(path) or (0, 0)
        read = functools.partial(read_image, path)
        yield Pending(item, read, height * width)


def files_of(
  source: pathlib.Path,
  output: pathlib.Path,
  text: str,
  others: Sequence[pathlib.Path] = (),
) -> Files | None:
  """The images of a folder, a glob or a file; None where it is a video.

  Args:
    source: as the user wrote it, `~` resolved.
    output: folder whose files are not taken.
    text: as the user wrote it, for messages.
    others: more such folders.

  Raises:
    UserError: there is no such thing, or no image in it.
  """
  left_out = {folder.absolute() for folder in (output, *others)}
  if source.is_dir():
    base = source.absolute()
    found = [
      path for path in _walked(base) if left_out.isdisjoint(path.parents)
    ]
    where = f'--input={text} holds no PNG or JPEG image'
  elif source.is_file():
    if source.suffix.lower() in VIDEOS:
      return None
    base, found = source.absolute().parent, [source.absolute()]
    where = ''
  elif _MAGIC.search(str(source)):
    base, found = _globbed(source.absolute())
    found = [path for path in found if left_out.isdisjoint(path.parents)]
    where = f'--input={text} matches no file'
  else:
    raise UserError(
      f'--input={text} does not exist: give a folder, a glob in quotes, or a '
      'video.'
    )
  if not found:
    raise UserError(f'{where}: give a folder, a glob in quotes, or a video.')
  return Files(base, found)


def _walked(base: pathlib.Path) -> Iterator[pathlib.Path]:
  """Every file below a folder that is named as an image; none hidden."""
  for folder, folders, names in os.walk(base):
    folders[:] = sorted(one for one in folders if not one.startswith('.'))
    for name in sorted(names):
      suffix = pathlib.PurePath(name).suffix.lower()
      if suffix in IMAGES + _UNSUPPORTED and not name.startswith('.'):
        yield pathlib.Path(folder, name)


def _globbed(
  pattern: pathlib.Path,
) -> tuple[pathlib.Path, list[pathlib.Path]]:
  """The files of a glob, and the folder before its first wildcard."""
  parts = pattern.parts
  plain = next(i for i, part in enumerate(parts) if _MAGIC.search(part))
  base = pathlib.Path(*parts[:plain])
  found = map(pathlib.Path, glob.glob(str(pattern), recursive=True))
  return base, sorted({path for path in found if path.is_file()})


def output_names(relative: Sequence[str]) -> list[str]:
  """What outputs of files are called, each differently.

  The path without its suffix; files that differ in that alone (or in case,
  which some disks do not tell apart) keep it, and get a number where even
  that is taken.

  Args:
    relative: paths, in an order that is always the same.
  """
  stems = [str(pathlib.PurePosixPath(one).with_suffix('')) for one in relative]
  counts: dict[str, int] = {}
  for stem in stems:
    counts[stem.casefold()] = counts.get(stem.casefold(), 0) + 1
  # Stems that are alone stay as they are, whatever the others become.
  taken = {stem for stem, count in counts.items() if count == 1}
  found = []
  for path, stem in zip(relative, stems):
    name, number = stem, 1
    if counts[stem.casefold()] > 1:
      name = path
      while name.casefold() in taken:
        number += 1
        name = f'{path}~{number}'
      taken.add(name.casefold())
    found.append(name)
  return found


def _item(base: pathlib.Path, image: str, name: str) -> Item:
  path = base / image
  try:
    status = path.stat()
    stamp: tuple[int, ...] = (status.st_size, status.st_mtime_ns)
  except OSError:
    stamp = ()  # Reading it says what is wrong.
  parent = pathlib.PurePosixPath(image).parent.as_posix()
  return Item(image, name, '' if parent == '.' else parent, stamp, path)


def read_image(path: pathlib.Path) -> np.ndarray:
  """An image as it has to be seen, upright, uint8 [h w 3].

  Raises:
    UserError: it is no PNG or JPEG of 8 bits, or damaged; the message is what
      is wrong, without the name of the file.
  """
  try:
    file = images.read(path, fix=_FIX)
  except UserError as error:
    problem = str(error).removeprefix(f'{quoted(path, 2000)}: ')
    raise UserError(_sentence(problem.removesuffix(f'; {_FIX}'))) from None
  if file.bits > 8:
    raise UserError(_sentence(f'has {file.bits} bits per channel, expected 8'))
  image = file.image
  if max(image.size) > _LONGEST_PX:
    raise UserError(_sentence(f'has a side of more than {_LONGEST_PX} pixels'))
  if file.orientation in range(2, 9):
    image = ImageOps.exif_transpose(image)
  if image.mode != 'RGB':
    image = _rgb(image)
  return np.asarray(image)


def _rgb(image: Image.Image) -> Image.Image:
  """Grey, palettes and colours with transparency, which is dropped."""
  if image.mode == 'P':
    image = image.convert('RGBA')
  return image.convert('RGB')


def _sentence(problem: str) -> str:
  """One short sentence of what a reader says of a file."""
  return quoted(f'The file {problem}.', 200)
