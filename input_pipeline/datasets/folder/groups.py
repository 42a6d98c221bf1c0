"""Images that belong together: the frames of one video, one drive.

Neighbours of a training image test nothing, so a group is of one split.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
import unicodedata
from collections.abc import Sequence

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline.datasets.folder.layout import Picture
from input_pipeline.datasets.folder.text_files import read_text

TABLE = 'groups.csv'
_COLUMNS = ('image', 'group')


def grouped(root: pathlib.Path, pictures: Sequence[Picture]) -> list[Picture]:
  """The images with the groups of the root's table, if it has one.

  Args:
    root: folder of the images.
    pictures: with the groups that the folders say.

  Raises:
    UserError: the table is damaged, names two groups for an image, an image
      that is two, or lacks one.
  """
  path = root / TABLE
  if not path.exists():
    return list(pictures)
  known = _keys(root, pictures)
  group_of: dict[str, str] = {}
  for line, image, group in _rows(path):
    names = known.get(unicodedata.normalize('NFC', image), set())
    if len(names) > 1:
      raise UserError(
        f'{path}:{line}: {quoted(image, 80)} is more than one image'
        f' ({", ".join(quoted(name, 80) for name in sorted(names)[:3])}); write'
        ' its path with the split'
      )
    for name in names:
      if group_of.setdefault(name, group) != group:
        raise UserError(
          f'{path}:{line}: {quoted(image, 80)} is of the group'
          f' {quoted(group, 80)!r} and, further up, of'
          f' {quoted(group_of[name], 80)!r}; leave one row an image'
        )
  missing = [one for one in pictures if one.name not in group_of]
  if missing:
    more = f' and {len(missing) - 1} more' * (len(missing) > 1)
    raise UserError(
      f'{path}: has no row for the image {quoted(missing[0].name, 80)}{more};'
      ' add a row for each image'
    )
  return [
    dataclasses.replace(one, group=group_of[one.name]) for one in pictures
  ]


def check_whole(root: pathlib.Path, pictures: Sequence[Picture]) -> None:
  """Raises `UserError` where a group is in two splits."""
  first: dict[str, Picture] = {}
  for one in pictures:
    if one.group is None or not one.split:
      continue
    other = first.setdefault(one.group, one)
    if other.split != one.split:
      raise UserError(
        f'{other.image} and {one.image} are of one group'
        f' ({quoted(one.group, 80)}) but of the splits {other.split} and'
        f' {one.split}; keep a group in one split, or say in {root / TABLE}'
        ' which images belong together'
      )


def _keys(
  root: pathlib.Path, pictures: Sequence[Picture]
) -> dict[str, set[str]]:
  """How a row may name an image, to the names of those that it may be."""
  keys: dict[str, set[str]] = {}
  for one in pictures:
    inside = one.name.removeprefix(f'{one.split}/')
    spellings = one.spellings(root) | {inside, f'{inside}{one.image.suffix}'}
    for key in spellings:
      keys.setdefault(key, set()).add(one.name)
  return keys


def _rows(path: pathlib.Path) -> list[tuple[int, str, str]]:
  """Line, image and group of each row.

  Raises:
    UserError: it is not such a table.
  """
  reader = csv.DictReader(io.StringIO(read_text(path)), skipinitialspace=True)
  rows = []
  try:
    header = reader.fieldnames or ()
    missing = [name for name in _COLUMNS if name not in header]
    if missing:
      raise UserError(
        f'{path}: its first line has no column {missing[0]!r}; begin it with'
        f' {",".join(_COLUMNS)}'
      )
    for row in reader:
      image, group = ((row[name] or '').strip() for name in _COLUMNS)
      if not image or not group:
        raise UserError(
          f'{path}:{reader.line_num}: has no {"group" if image else "image"};'
          f' write {",".join(_COLUMNS)}'
        )
      rows.append((reader.line_num, image, group))
  except csv.Error as error:
    raise UserError(
      f'{path}:{reader.line_num}: cannot be read ({quoted(error, 80)}); write'
      f' {",".join(_COLUMNS)}'
    ) from error
  return rows
