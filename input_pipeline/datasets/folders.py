"""Data sets that are folders of files: listing, checks, splits, sequences."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from common_lib.errors import UserError
from input_pipeline.datasets import base, prepared

# A config that serves several data sets names the role, not the folder.
_ROLES = {'val': 'validation'}

IMAGE_SUFFIXES = ('.png', '.jpg', '.jpeg')


def check_root(request: base.DataRequest, layout: str) -> pathlib.Path:
  """Returns the folder of the original files.

  Args:
    request: holds `root`.
    layout: what is expected below it, for the message.

  Returns:
    The folder, `~` expanded.

  Raises:
    UserError: it is not set or does not exist.
  """
  if not request.root:
    raise UserError(f'data.root is not set; give the folder that has {layout}')
  root = pathlib.Path(request.root).expanduser()
  check_folder(root, layout)
  return root


def check_folder(folder: pathlib.Path, layout: str) -> None:
  """Raises `UserError` unless the folder exists."""
  if not folder.is_dir():
    raise UserError(
      f'{folder}: no such folder; point data.root at the folder that has'
      f' {layout}'
    )


def files_by_stem(
  folder: pathlib.Path, suffixes: Sequence[str], ending: str = ''
) -> dict[str, pathlib.Path]:
  """Lists the files of a folder, sorted.

  Args:
    folder: an existing folder.
    suffixes: the file types wanted, lower case; case is ignored.
    ending: what the stem must end with; it is cut off.

  Returns:
    Stem without the ending to path; hidden files are left out.

  Raises:
    UserError: two files differ in their type alone.
  """
  found: dict[str, pathlib.Path] = {}
  for path in sorted(folder.iterdir()):
    stem = path.stem
    if (
      stem.startswith('.')
      or path.suffix.lower() not in suffixes
      or not stem.endswith(ending)
    ):
      continue
    stem = stem.removesuffix(ending)
    if stem in found:
      raise UserError(
        f'{path}: {found[stem].name} is the same scene; remove one of the two'
      )
    found[stem] = path
  return found


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
    UserError: the sequence, taken from the file's name, has other characters.
  """
  if not (sequence.isascii() and sequence.replace('-', '').isalnum()):
    path = next(iter(files.values()))
    raise UserError(
      f'{path}: its sequence {sequence!r} is not of letters, digits and'
      ' hyphens; rename or remove the file'
    )
  return base.Scene(
    id=scene_id,
    sequence=sequence,
    origin={
      role: path.relative_to(root).as_posix() for role, path in files.items()
    },
    stamps=tuple(_stamp(path) for path in files.values()),
  )


def _stamp(path: pathlib.Path) -> tuple[int, int]:
  """(bytes, time of change in ns), or (-1, -1) of a missing file."""
  try:
    status = os.stat(path)
  except FileNotFoundError:
    return -1, -1
  return status.st_size, status.st_mtime_ns


def open_splits(
  builder_class: type[base.SceneBuilder],
  splits: Mapping[str, Sequence[base.Scene]],
  sequences: str,
  request: base.DataRequest,
) -> base.Source:
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
  parts = []
  for split, scenes in splits.items():
    chosen = [
      scene
      for scene in scenes
      if not sequences or scene.sequence in sequences.split('+')
    ]
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
