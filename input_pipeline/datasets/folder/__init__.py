"""Images of a user's own, some or all of them labelled, in a folder.

  root/images/<split>/**.png (or .jpg)   root/labels/<split>/**.png
  or
  root/<split>/images/**                 root/<split>/labels/**
  or
  root/images/**  root/labels/**  root/splits/<split>.txt
  or
  root/images/**  root/labels/**  and shares of the splits in the request

An image and its label have equal paths but for the type. `layout` finds them,
`groups` says which images belong together (`root/groups.csv`), `splits` and
`shares` which split each is of, `pixels` reads them. Labels are in the classes
of the request's table.

Images without a label are the pool, which the variant 'unlabelled' opens.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from common_lib.foreign import quoted
from input_pipeline import notes
from input_pipeline.datasets import base, folders
from input_pipeline.datasets.folder import layout, pixels, splits
from input_pipeline.datasets.folder.layout import Picture
from input_pipeline.files import images

SPECS = 'folder[/unlabelled][:SPLIT]'
READS_CLASS_TABLE = True
POOL = 'unlabelled'
_SURVEYED_IMAGES = 5  # whose headers tell the aspect ratio of all


class Folder(base.SceneBuilder):
  """TFDS builder of the labelled or the unlabelled images of a split."""

  VERSION = tfds.core.Version('1.0.0')

  @classmethod
  def further_identity(cls, request: base.DataRequest) -> dict[str, Any]:
    """Which values and colours of label files are which class."""
    table = request.classes
    return {
      'ids': table.ids,
      'void_ids': table.void_ids,
      'colors': table.colors,
    }

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Reads one image; see `SceneBuilder.load`."""
    return pixels.load_scene(scene, self.request)


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens images of a user's own.

  Args:
    variant: '' for the labelled images of a split; 'unlabelled' for those
      without a label, whose 'label' is void everywhere.
    split: as the folders or lists name it; 'val' and 'validation' stand for
      each other. By default 'test', or else 'validation', or else the only one
      that there is. Of the unlabelled images the default is all but those of
      splits (or in groups of splits) that are named after validation or test.
    request: `root` is the folder described above, `classes` the table that
      its labels are read by, `split` the shares of the splits where neither
      folders nor lists make them. `num_examples` of 'train' limits the pool
      too.

  Returns:
    The images, sorted by path. `id` is the path below the split's folder (or
    below `images`, where lists or shares make the splits), without its type;
    where two splits have an image of one such path, all ids begin with the
    split. `sequence` is the group, or the id of an image that has none.

  Raises:
    UserError: a missing folder, an unknown split or variant, a split without a
      labelled image, a label without an image, a group in two splits, a
      damaged file, a value that the class table does not have.
  """
  if variant not in ('', POOL):
    raise UserError(f'folder has no variant {variant!r}; write {SPECS}')
  if request.depth:
    raise UserError('folder has no depth; use another data set')
  root = folders.check_root(request, layout.EXPECTED)
  found = splits.assigned(root, request)
  if variant == POOL:
    split, chosen = _pool(found, split, request)
  else:
    split, chosen = _labelled(found, split, request)
  role = 'train' if variant == POOL and not split else split
  count = request.num_examples.get(role)
  if count is None and role in splits.VALIDATION:
    counts = [request.num_examples.get(name) for name in splits.VALIDATION]
    count = next((number for number in counts if number), None)
  if count is not None:
    chosen = folders.spread(chosen, count)
  _note_shape(chosen, request)
  _note_train_ids(chosen, request)
  name = '-'.join(part for part in (variant or 'labelled', split) if part)
  builder = Folder.create(
    re.sub(r'[^A-Za-z0-9_]', '-', name),
    {variant or 'labelled': [_scene(one, request) for one in chosen]},
    request,
  )
  return base.open_prepared(builder)


def counted(split: str, request: base.DataRequest) -> tuple[int, int]:
  """How many images of a split have a label, and how many are of the pool.

  Args:
    split: as the folders or lists name it.
    request: as for `open_source`.

  Raises:
    UserError: as `open_source`, but for what there is none of.
  """
  root = folders.check_root(request, layout.EXPECTED)
  pictures = splits.assigned(root, request).pictures
  same = splits.VALIDATION if split in splits.VALIDATION else (split,)
  labelled = sum(1 for one in pictures if one.label and one.split in same)
  bare = sum(1 for one in pictures if _is_of_pool(one))
  return labelled, bare


def _is_of_pool(one: Picture) -> bool:
  return not one.label and one.split not in splits.HELD_OUT


def _labelled(
  found: splits.Assigned, split: str, request: base.DataRequest
) -> tuple[str, list[Picture]]:
  """The name of a split and its labelled images.

  Raises:
    UserError: there is no such split, or none of its images has a label.
  """
  name = found.name_of(split) if split else found.default()
  of_split = [one for one in found.pictures if one.split == name]
  chosen = [one for one in of_split if one.label]
  if not chosen:
    what = f'none of its {len(of_split)} images has a label' * bool(of_split)
    raise UserError(
      f'{request.root}: split {name!r} has no labelled image'
      f' ({what or "it is empty"}); put a PNG of the same path below labels for'
      ' each image, or open the images as folder/unlabelled'
    )
  rest = len(of_split) - len(chosen)
  if rest:
    notes.once(
      f'of the {len(of_split)} images of split {name} of {request.root} those'
      f' without a label ({rest}) are left to folder/{POOL}'
    )
  return name, chosen


def _pool(
  found: splits.Assigned, split: str, request: base.DataRequest
) -> tuple[str, list[Picture]]:
  """The name of a split, or '', and the images without a label.

  Raises:
    UserError: there is no such split, or each image has a label.
  """
  name = found.name_of(split) if split else ''
  bare = [one for one in found.pictures if not one.label]
  if name:
    chosen = [one for one in bare if one.split == name]
  else:
    chosen = [one for one in bare if _is_of_pool(one)]
    rest = len(bare) - len(chosen)
    if rest and chosen:
      notes.once(
        f'of the {len(bare)} images of {request.root} without a label,'
        f' folder/{POOL} leaves aside those of splits or groups that are held'
        f' out ({rest})'
      )
  if not chosen:
    raise UserError(
      f'{request.root}: every image{f" of split {name!r}" * bool(name)} has a'
      ' label or is held out, so there is no unlabelled pool; add images'
      ' without a label'
    )
  return name, chosen


def _scene(one: Picture, request: base.DataRequest) -> base.Scene:
  files = {'image': one.image, 'label': one.label}
  origin = {
    role: path.relative_to(request.folder).as_posix()
    for role, path in files.items()
    if path
  }
  return base.Scene(
    id=one.id,
    sequence=one.id if one.group is None else one.group,
    origin=origin,
    files=tuple(origin.values()),
  )


def _note_shape(chosen: Sequence[Picture], request: base.DataRequest) -> None:
  if request.resize == 'squeeze':
    some = folders.spread(chosen, _SURVEYED_IMAGES)
    sizes = [images.header_size(one.image) for one in some]
    notes.squeezed(
      quoted(request.root, 80), [s for s in sizes if s], request.image_size
    )


def _note_train_ids(
  chosen: Sequence[Picture], request: base.DataRequest
) -> None:
  """Says so if labels look like class indices where label ids are expected.

  Every index of Cityscapes' classes is also one of its ids, of another class:
  nothing is refused, and all that follows is wrong.
  """
  if request.classes.ids != CITYSCAPES.ids:
    return
  some = folders.spread([one for one in chosen if one.label], _SURVEYED_IMAGES)
  if some and pixels.are_indices([one.label for one in some], CITYSCAPES):
    notes.once(
      f'labels of {quoted(request.root, 80)} hold 0 to 18 alone, which are'
      " Cityscapes' class indices (trainIds), and are read as its ids (7 ="
      ' road); if they are indices, write a classes.json whose ids are 0 to 18'
    )
