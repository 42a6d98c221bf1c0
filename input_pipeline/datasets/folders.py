"""Data sets that are folders of files: listing, checks, splits, sequences."""

from __future__ import annotations

import dataclasses
import errno
import os
import pathlib
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline import notes
from input_pipeline.datasets import base, prepared
from input_pipeline.files import images

# A config that serves several data sets names the role, not the folder.
_ROLES = {'val': 'validation'}

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')

_NAMED_FILES = 3
_SURVEYED_IMAGES = 5  # whose headers tell the aspect ratio of all
_FOLDER_PROBLEMS: Mapping[int | None, str] = {
  errno.ENOENT: 'no such folder',
  errno.ENOTDIR: 'is a file or lies in one, not a folder',
  errno.ELOOP: 'symbolic links that lead in a circle',
  errno.EACCES: 'no permission to read the folder',
}


def check_root(request: base.DataRequest, layout: str) -> pathlib.Path:
  """Returns the folder of the original files.

  Args:
    request: holds `root`.
    layout: what is expected below it, for the message.

  Returns:
    The folder, `~` expanded.

  Raises:
    UserError: it is not set, does not exist or cannot be read.
  """
  if not request.root:
    raise UserError(f'data.root is not set; give the folder that has {layout}')
  check_folder(request.folder, layout)
  return request.folder


def check_folder(folder: pathlib.Path, layout: str) -> None:
  """Raises `UserError` unless the folder exists and can be read."""
  try:
    # Listing it is one permission, reaching what is in it another.
    with os.scandir(folder):
      os.stat(os.path.join(folder, os.curdir))
    return
  except OSError as error:
    problem = _FOLDER_PROBLEMS.get(error.errno, error.strerror)
  raise UserError(
    f'{folder}: {problem}; point data.root at the folder that has {layout}'
  )


def is_folder(path: pathlib.Path) -> bool:
  """Whether it can be seen to be one; of `Path.is_dir`, that may raise."""
  return os.path.isdir(path)


def entries(folder: pathlib.Path) -> list[pathlib.Path]:
  """What is in an existing folder, sorted, hidden files left out.

  Raises:
    UserError: it cannot be read: what it holds would silently be missing.
  """
  try:
    names = sorted(os.listdir(folder))
  except OSError as error:
    raise UserError(
      f'{folder}: cannot be read ({error.strerror}); make it readable'
    ) from error
  return [folder / name for name in names if not name.startswith('.')]


def files_by_stem(
  folder: pathlib.Path, suffixes: Sequence[str], ending: str = ''
) -> dict[str, pathlib.Path]:
  """Lists the files of a folder, sorted.

  Args:
    folder: an existing folder.
    suffixes: the file types wanted, lower case; case is ignored.
    ending: what the stem must end with; it is cut off.

  Returns:
    Stem without the ending to path; hidden files are left out. Stems are
    composed (Unicode's NFC), as which files of archives from macOS find their
    labels.

  Raises:
    UserError: two files differ in their type or composition alone, the name
      of one is not UTF-8, or the folder cannot be read.
  """
  found: dict[str, pathlib.Path] = {}
  for path in entries(folder):
    if path.suffix.lower() in suffixes and path.stem.endswith(ending):
      add_file(found, path.stem.removesuffix(ending), path)
  return found


def add_file(
  found: dict[str, pathlib.Path], name: str, path: pathlib.Path
) -> None:
  """Adds a file under its scene's name, composed as `files_by_stem` has it.

  Raises:
    UserError: as `files_by_stem`.
  """
  name = unicodedata.normalize('NFC', name)
  if not _is_text(name):
    raise UserError(f'{path}: its name is not UTF-8; rename or remove the file')
  if name in found:
    raise UserError(
      f'{path}: {found[name].name} is the same scene; remove one of the two'
    )
  found[name] = path


@dataclasses.dataclass(frozen=True)
class Side:
  """The files of one kind that a split has.

  Attributes:
    folder: where they lie.
    ending: what a name below the folder ends with, for a file that is missing.
    files: the scene's name to its file.
  """

  folder: pathlib.Path
  ending: str
  files: Mapping[str, pathlib.Path]

  def path(self, name: str) -> pathlib.Path:
    """The file of a scene, or where it should be."""
    return self.files.get(name, self.folder / f'{name}{self.ending}')


def pair(images: Side, labels: Side) -> dict[str, dict[str, pathlib.Path]]:
  """Joins the images and labels of a split.

  Args:
    images: of the split.
    labels: of the split.

  Returns:
    Name of each scene, sorted, to its 'image' and 'label'. A missing partner
    gets the path that it should have: the reader names it.

  Raises:
    UserError: there are files, but no image has a label; it names some.
  """
  names = sorted(
    images.files.keys() | labels.files.keys(),
    key=lambda name: name.split('/'),
  )
  if not images.files.keys() & labels.files.keys():
    found = [_some_names(side.folder) for side in (images, labels)]
    if any(found):
      raise UserError(
        f'{images.folder} with {labels.folder}: no image has a label; expected'
        f' names are NAME{images.ending} and NAME{labels.ending}, there are'
        f' {" and ".join(", ".join(some) or "none" for some in found)}; point'
        ' data.root at the data set as its owner distributes it'
      )
  return {
    name: {'image': images.path(name), 'label': labels.path(name)}
    for name in names
  }


def _some_names(folder: pathlib.Path) -> list[str]:
  """Names of up to three files of a folder or of its first subfolder."""
  paths = entries(folder)
  files = [path.name for path in paths if not is_folder(path)]
  if not files and paths:
    files = [path.name for path in entries(paths[0])]
  return [quoted(name, 80) for name in files[:_NAMED_FILES]]


def scene_of_files(
  root: pathlib.Path,
  scene_id: str,
  sequence: str,
  files: Mapping[str, pathlib.Path],
) -> base.Scene:
  """Makes the scene of some files, whether they exist or not.

  Args:
    root: folder of the data set.
    scene_id: `Scene.id`.
    sequence: `Scene.sequence`; letters and digits.
    files: role ('image', 'label', ...) to path.

  Returns:
    A scene whose `origin` is role to path relative to `root`.

  Raises:
    UserError: the sequence, taken from the file's name, has other characters,
      or a name is not UTF-8.
  """
  path = next(iter(files.values()))
  if not (sequence.isascii() and sequence.replace('-', '').isalnum()):
    raise UserError(
      f'{path}: its sequence {sequence!r} is not of letters, digits and'
      ' hyphens; rename or remove the file'
    )
  if not _is_text(scene_id):
    raise UserError(f'{path}: its name is not UTF-8; rename or remove the file')
  origin = {
    role: path.relative_to(root).as_posix() for role, path in files.items()
  }
  return base.Scene(
    id=scene_id,
    sequence=sequence,
    origin=origin,
    files=tuple(origin.values()),
  )


def _is_text(name: str) -> bool:
  """False for a name whose bytes are not UTF-8: no record can hold it."""
  return not any('\ud800' <= character <= '\udfff' for character in name)


def open_splits(
  builder_class: type[base.SceneBuilder],
  splits: Mapping[str, Sequence[base.Scene]],
  sequences: str,
  request: base.DataRequest,
) -> prepared.PreparedSource:
  """Prepares official splits and opens some or all of their sequences.

  A copy holds a whole official split, one TFDS split a sequence, so that one
  copy serves every choice of sequences. Only where `request.num_examples`
  names the split does a copy hold the chosen scenes alone.

  Args:
    builder_class: loads one scene.
    splits: official split to its scenes, sorted.
    sequences: '' for all, or names joined by '+'.
    request: what the caller wants.

  Returns:
    The scenes, split after split.

  Raises:
    UserError: a split without scenes, an unknown sequence, a damaged file.
  """
  for split, scenes in splits.items():
    if not scenes:
      raise UserError(
        f'{request.root}: split {split!r} has no image; point data.root at the'
        ' complete data set'
      )
  _check_sequences(splits, sequences)
  wanted_scenes = {
    split: [
      scene
      for scene in scenes
      if not sequences or scene.sequence in sequences.split('+')
    ]
    for split, scenes in splits.items()
  }
  _note_oddities(builder_class.name, wanted_scenes, sequences, request)
  parts = []
  for split, scenes in splits.items():
    chosen = wanted_scenes[split]
    if not chosen:
      continue
    count = request.num_examples.get(_ROLES.get(split, split))
    count = request.num_examples.get(split, count)
    kept = scenes if count is None else spread(chosen, count)
    groups: dict[str, list[base.Scene]] = {}
    for scene in kept:
      groups.setdefault(_group(scene), []).append(scene)
    wanted = dict.fromkeys(_group(scene) for scene in chosen)
    builder = builder_class.create(split, groups, request)
    folder = prepared.prepare(builder)
    parts.append((str(folder), tuple(g for g in wanted if g in groups)))
  return prepared.PreparedSource(tuple(parts))


def _note_oddities(
  name: str,
  chosen: Mapping[str, Sequence[base.Scene]],
  sequences: str,
  request: base.DataRequest,
) -> None:
  """Says what a spec does that its user may not expect."""
  notes.mixed_splits(
    f'{name}/{sequences}' if sequences else name,
    {split: len(scenes) for split, scenes in chosen.items()},
  )
  if request.resize != 'squeeze':
    return
  scenes = [scene for group in chosen.values() for scene in group]
  sizes = [
    images.header_size(request.folder / scene.origin['image'])
    for scene in spread(scenes, _SURVEYED_IMAGES)
    if 'image' in scene.origin
  ]
  notes.squeezed(name, [size for size in sizes if size], request.image_size)


def spread(items: Sequence[Any], count: int) -> list[Any]:
  """Takes `count` items at even distances, all if there are fewer."""
  if count >= len(items):
    return list(items)
  return [items[i * len(items) // count] for i in range(count)]


def _group(scene: base.Scene) -> str:
  """TFDS split of a scene; TFDS reserves 'all' and splits names at hyphens."""
  return 'seq_' + scene.sequence.replace('-', '_')


def _check_sequences(
  splits: Mapping[str, Sequence[base.Scene]], sequences: str
) -> None:
  """Raises `UserError` for a sequence that no split holds."""
  known = sorted({s.sequence for scenes in splits.values() for s in scenes})
  unknown = [n for n in sequences.split('+') if sequences and n not in known]
  if unknown:
    raise UserError(
      f'sequence {unknown[0]!r} is not in {", ".join(splits)}; there are'
      f' {", ".join(known)}'
    )
