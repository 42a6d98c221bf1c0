"""Which split each image of a user's own is of."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
import unicodedata
from collections.abc import Collection, Mapping, Sequence

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline import notes
from input_pipeline.datasets import base, folders
from input_pipeline.datasets.folder import groups, layout, shares
from input_pipeline.datasets.folder.layout import Picture
from input_pipeline.datasets.folder.text_files import read_text

LISTS = 'splits'
VALIDATION = ('validation', 'val')
HELD_OUT = (*VALIDATION, 'test')
_NAMED = 20


@dataclasses.dataclass(frozen=True)
class Assigned:
  """The images of a root, each with its id, group and split.

  Attributes:
    root: their folder.
    pictures: sorted by name.
    names: of the splits.
  """

  root: pathlib.Path
  pictures: tuple[Picture, ...]
  names: tuple[str, ...]

  def name_of(self, split: str) -> str:
    """The split as the root names it.

    Raises:
      UserError: there is none of that name.
    """
    also = VALIDATION if split in VALIDATION else ()
    for name in (split, *also):
      if name in self.names:
        return name
    raise UserError(
      f'{self.root}: there is no split {split!r} but {self._listed()}; make it'
      f' of folders ({layout.EXPECTED}), of a list ({LISTS}/{split}.txt) or by'
      ' data.split=0.7/0.15/0.15'
    )

  def default(self) -> str:
    """The split of a spec that names none.

    Raises:
      UserError: there are several, and none is named as usual.
    """
    for name in ('test', *VALIDATION):
      if name in self.names:
        return name
    if len(self.names) == 1:
      return self.names[0]
    raise UserError(
      f'{self.root}: has no split test or validation but {self._listed()};'
      ' write folder:SPLIT, or divide the images by data.split=0.7/0.15/0.15'
    )

  def _listed(self) -> str:
    shown = ', '.join(quoted(name, 40) for name in self.names[:_NAMED])
    return shown or 'none'


def assigned(root: pathlib.Path, request: base.DataRequest) -> Assigned:
  """Finds the images of a root and puts each into its split.

  Args:
    root: an existing folder.
    request: says how splits are made and what a damaged root does.

  Raises:
    UserError: as `layout.find`; splits are made in two ways at once; a group
      is in two splits, or a table or list of files is damaged.
  """
  files = layout.find(root, request.on_error == 'skip')
  lists = _lists(root)
  _check_one_way(root, files, lists, request.split)
  by_folder = not lists and not request.split
  pictures = _pictures(files, by_folder)
  pictures = groups.grouped(root, pictures)
  names: Collection[str]
  if lists:
    pictures, names = _listed(root, pictures, lists), lists
  elif request.split:
    wanted = shares.parsed(request.split)
    pictures, names = shares.divided(pictures, wanted), wanted
  else:
    names = sorted({one.split for one in pictures if one.split})
  groups.check_whole(root, pictures)
  unused = sum(1 for one in pictures if one.label and not one.split)
  if unused and names:
    notes.once(
      f'labelled images of {root} that are in none of the splits'
      f' {", ".join(names)} are not used ({unused})'
    )
  return Assigned(root, tuple(_with_group(pictures)), tuple(names))


def _lists(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Split to the file that lists its images."""
  folder = root / LISTS
  if not folders.is_folder(folder):
    return {}
  return folders.files_by_stem(folder, ('.txt',))


def _check_one_way(
  root: pathlib.Path,
  files: layout.Files,
  lists: Mapping[str, pathlib.Path],
  split: str,
) -> None:
  """Raises `UserError` where splits are made in two ways."""
  ways = []
  if lists:
    ways.append(f'{LISTS}/{next(iter(lists.values())).name}')
  if split:
    ways.append(f'data.split={quoted(split, 40)}')
  usual = {'train', *HELD_OUT}
  first = sorted({name.split('/')[0] for name in files.images if '/' in name})
  own = [name for name in first if files.split_first or name in usual]
  if own and ways:
    where = f'{own[0]}/images' if files.split_first else f'images/{own[0]}'
    ways.append(f'the folder {where}')
  if len(ways) > 1:
    raise UserError(
      f'{root}: {" and ".join(ways)} both say which images are of which split;'
      ' leave one of them out'
    )


def _pictures(files: layout.Files, by_folder: bool) -> list[Picture]:
  """The images, sorted; where folders are the splits, with their split."""
  names = sorted(files.images, key=lambda name: name.split('/'))
  split_of, inside = {}, {}
  for name in names:
    split, slash, rest = name.partition('/')
    split_of[name] = split if by_folder and slash else ''
    inside[name] = rest if split_of[name] else name
  # Two splits may number their images alike; an id is of one image.
  unique = len(set(inside.values())) == len(names)
  return [
    Picture(
      name=name,
      id=inside[name] if unique else name,
      image=files.images[name],
      label=files.labels.get(name),
      split=split_of[name],
      group=inside[name].split('/')[0] if '/' in inside[name] else None,
    )
    for name in names
  ]


def _listed(
  root: pathlib.Path,
  pictures: Sequence[Picture],
  lists: Mapping[str, pathlib.Path],
) -> list[Picture]:
  """The images with the splits of the lists.

  Raises:
    UserError: a line that is no image, or an image in two lists.
  """
  known = {
    spelling: one.name for one in pictures for spelling in one.spellings(root)
  }
  split_of: dict[str, str] = {}
  for split, path in lists.items():
    for number, line in enumerate(read_text(path).splitlines(), 1):
      entry = unicodedata.normalize('NFC', line.strip())
      if not entry or entry.startswith('#'):
        continue
      name = known.get(entry)
      if name is None:
        raise UserError(
          f'{path}:{number}: there is no image {quoted(entry, 80)!r} below'
          f' {root / "images"}; write its path below that folder'
        )
      if split_of.setdefault(name, split) != split:
        raise UserError(
          f'{path}:{number}: {quoted(name, 80)} is in {lists[split_of[name]]}'
          ' too; leave it in one of the two'
        )
  return [
    dataclasses.replace(one, split=split_of.get(one.name, ''))
    for one in pictures
  ]


def _with_group(pictures: Sequence[Picture]) -> list[Picture]:
  """Gives unlabelled images of no split the split that their group has.

  So that the pool of a training has no neighbour of a test's images.
  """
  split_of = collections.defaultdict(str)
  for one in pictures:
    if one.group is not None and one.split:
      split_of[one.group] = one.split
  return [
    one
    if one.split or one.label or one.group is None
    else dataclasses.replace(one, split=split_of[one.group])
    for one in pictures
  ]
