"""Which images and labels a folder of a user's own has."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline import notes
from input_pipeline.datasets import folders

EXPECTED = 'images/<split>/ and labels/<split>/'
LABEL_SUFFIXES = ('.png',)
# Types of images, read or not.
_IMAGE_LIKE = (
  *folders.IMAGE_SUFFIXES,
  *('.bmp', '.gif', '.jp2', '.npy', '.pgm', '.ppm', '.tif', '.tiff', '.webp'),
  *('.heic', '.avif', '.exr'),
)
_NAMED_FILES = 3


@dataclasses.dataclass(frozen=True)
class Picture:
  """An image and what is known of it.

  Attributes:
    name: its path below `images`, split included, without the type.
    id: of its scene.
    image: its file.
    label: its label's file, None if it has none.
    split: '' for none.
    group: images of one group are kept together; None: it is of none.
  """

  name: str
  id: str
  image: pathlib.Path
  label: pathlib.Path | None
  split: str = ''
  group: str | None = None

  def spellings(self, root: pathlib.Path) -> set[str]:
    """How a list or table may write it: with or without folder and type."""
    path = self.image.relative_to(root).with_suffix('').as_posix()
    names = {self.name, unicodedata.normalize('NFC', path)}
    return names | {f'{name}{self.image.suffix}' for name in names}


@dataclasses.dataclass(frozen=True)
class Files:
  """What lies in a root.

  Attributes:
    images: name, see `Picture`, to file.
    labels: the same of labels.
    split_first: whether the layout itself puts the split first in a name.
  """

  images: Mapping[str, pathlib.Path]
  labels: Mapping[str, pathlib.Path]
  split_first: bool


def find(root: pathlib.Path, skip: bool) -> Files:
  """Lists images and labels.

  Args:
    root: an existing folder.
    skip: whether labels without an image are left out instead of refused.

  Raises:
    UserError: there is no folder of images, or none in one; a label without an
      image or of another type than PNG; two files of one name.
  """
  split_folders = [
    folder
    for folder in folders.entries(root)
    if folder.name not in ('images', 'labels')
    and folders.is_folder(folder / 'images')
  ]
  if folders.is_folder(root / 'images'):
    # Another folder of images may be what a program has left there.
    both = [f for f in split_folders if folders.is_folder(f / 'labels')]
    if both:
      raise UserError(
        f'{root}: has images and {both[0].name}/images, two layouts in one;'
        ' move the images of one of them away'
      )
    split_folders = []
    image_roots = {'': root / 'images'}
    label_roots = {'': root / 'labels'}
  elif split_folders:
    image_roots = {f'{f.name}/': f / 'images' for f in split_folders}
    label_roots = {f'{f.name}/': f / 'labels' for f in split_folders}
  else:
    raise UserError(
      f'{root}: has no folder images; point data.root at the folder that has'
      f' {EXPECTED}'
    )
  images, others = _files(image_roots, folders.IMAGE_SUFFIXES)
  labels, no_labels = _files(label_roots, LABEL_SUFFIXES)
  if not images:
    some = [quoted(path.name, 80) for _, path in others[:_NAMED_FILES]]
    raise UserError(
      f'{root}: has no PNG or JPEG below images'
      f'{" but " * bool(some)}{", ".join(some)}; put the images there'
      f'{", saved as PNG or JPEG" * bool(some)}'
    )
  if others:
    notes.once(
      f'files below {root} are left aside, since images are PNG or JPEG'
      f' ({len(others)}): {quoted(others[0][1])}'
    )
  _check_types(images, labels, no_labels)
  return Files(images, _with_images(images, labels, skip), bool(split_folders))


def _files(
  roots: Mapping[str, pathlib.Path], suffixes: Sequence[str]
) -> tuple[dict[str, pathlib.Path], list[tuple[str, pathlib.Path]]]:
  """Lists the files of some folders.

  Args:
    roots: by the prefix of their files' names.
    suffixes: of the files wanted.

  Returns:
    Name to file, and name and file of images of other types.

  Raises:
    UserError: two files of one name, or a link to a folder further up.
  """
  found: dict[str, pathlib.Path] = {}
  others = []
  for prefix, root in roots.items():
    if folders.is_folder(root):
      for name, path in _below(root, prefix, ()):
        if path.suffix.lower() in suffixes:
          folders.add_file(found, name, path)
        elif path.suffix.lower() in _IMAGE_LIKE:
          others.append((name, path))
  return found, others


def _below(
  folder: pathlib.Path, prefix: str, above: tuple[tuple[int, int], ...]
) -> Iterator[tuple[str, pathlib.Path]]:
  """Name and path of each file of a folder and of those in it.

  Raises:
    UserError: a link to a folder further up.
  """
  status = os.stat(folder)
  own = status.st_dev, status.st_ino
  if own in above:
    raise UserError(
      f'{folder}: a link to a folder that it lies in; remove the link'
    )
  for path in folders.entries(folder):
    if folders.is_folder(path):
      yield from _below(path, f'{prefix}{path.name}/', (*above, own))
    else:
      yield prefix + path.stem, path


def _check_types(
  images: Mapping[str, pathlib.Path],
  labels: Mapping[str, pathlib.Path],
  others: Sequence[tuple[str, pathlib.Path]],
) -> None:
  """Raises `UserError` where an image's only label is no PNG."""
  for name, path in others:
    if name in images and name not in labels:
      raise UserError(
        f'{path}: labels are read from PNG alone; save it as PNG, from where'
        ' it was drawn if this is a JPEG, which changes ids'
      )


def _with_images(
  images: Mapping[str, pathlib.Path],
  labels: Mapping[str, pathlib.Path],
  skip: bool,
) -> dict[str, pathlib.Path]:
  """The labels that have an image.

  Raises:
    UserError: one has none and it is not to be skipped.
  """
  alone = [name for name in labels if name not in images]
  if alone:
    problem = (
      f'{labels[alone[0]]}: there is no image of the path'
      f' {quoted(alone[0], 80)} below images for this label'
      f'{f" and {len(alone) - 1} more" * (len(alone) > 1)}'
    )
    if not skip:
      raise UserError(
        f'{problem}; give a label the name of its image, or leave such labels'
        ' out with data.on_error=skip'
      )
    notes.once(f'{problem}; they are left out')
  return {name: path for name, path in labels.items() if name in images}
