"""BDD100K, semantic segmentation (the 10K images), in either folder layout.

Yu et al., "BDD100K: A Diverse Driving Dataset for Heterogeneous Multitask
Learning", CVPR 2020; layout and ids: its toolkit's documentation
(`doc/source/download.rst`, `format.rst`), and for the old layout the loaders
of RobustNet and ObsNet.

  root/images/10k/{train,val}/<name>.jpg                since 2020
  root/labels/sem_seg/masks/{train,val}/<name>.png

  root/seg/images/{train,val}/<name>.jpg                before
  root/seg/labels/{train,val}/<name>_train_id.png

`root` is the folder `bdd100k` of the packages or the one around it; in the old
layout also `seg` itself. A root with both layouts is read in the newer one
unless the variant names the old one.

Masks are trainIds 0..18 in the order of Cityscapes, 255 = void. Images are
720x1280 (7000 train, 1000 val: the 1000 on which FSNet is tested). The test
split has no public labels, so it is not offered.
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline.datasets import base, folders, readers

SPECS = 'bdd100k[/new|old][:train|val]'
SPLITS = ('train', 'val')
TABLE = class_table.lookup_table(
  {i: i for i in range(class_table.CITYSCAPES.num_classes)},
  void_ids=(class_table.VOID,),
)
# Variant, folder of images, folder of labels, how a label's stem ends.
_LAYOUTS = (
  ('new', 'images/10k', 'labels/sem_seg/masks', ''),
  ('old', 'seg/images', 'seg/labels', '_train_id'),
  ('old', 'images', 'labels', '_train_id'),  # root is the folder seg
)
_LAYOUT = (
  'images/10k/{train,val}/ and labels/sem_seg/masks/{train,val}/, or'
  ' seg/images/{train,val}/ and seg/labels/{train,val}/'
)


class Bdd100k(base.SceneBuilder):
  """TFDS builder of one official split."""

  VERSION = tfds.core.Version('1.0.0')

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Reads one image; see `SceneBuilder.load`."""
    return readers.load_scene(scene, self.request, TABLE)


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens images of BDD100K.

  Args:
    variant: the layout, 'new' or 'old'; '' for the first that is complete.
    split: 'train' or 'val' (default).
    request: `root` is the folder described above.

  Returns:
    The images, sorted by name. They come from unrelated drives, so `sequence`
    is 'bdd100k' for all.

  Raises:
    UserError: a missing folder, an unknown split or variant, a damaged file.
  """
  split = split or 'val'
  if split not in SPLITS:
    raise UserError(
      f'bdd100k has no split {split!r} with public labels; use one of'
      f' {", ".join(SPLITS)}'
    )
  if variant not in ('', 'new', 'old'):
    raise UserError(f'bdd100k has no variant {variant!r}; write {SPECS}')
  if request.depth:
    raise UserError('bdd100k has no depth; use another data set')
  root = folders.check_root(request, _LAYOUT)
  scenes = _scenes(root, variant, split)
  return folders.open_splits(Bdd100k, {split: scenes}, '', request)


def _find_layout(
  root: pathlib.Path, variant: str, split: str
) -> tuple[pathlib.Path, pathlib.Path, str]:
  """Probes for the folders of a split.

  Args:
    root: an existing folder.
    variant: 'new', 'old' or '' for either.
    split: 'train' or 'val'.

  Returns:
    Folder of images, folder of labels, ending of the labels' stems.

  Raises:
    UserError: no layout is complete; it names what is missing.
  """
  candidates = [
    (base_folder / images / split, base_folder / masks / split, ending)
    for base_folder in (root, root / 'bdd100k')
    for layout, images, masks, ending in _LAYOUTS
    if variant in ('', layout)
  ]
  partial = None
  for images, masks, ending in candidates:
    found = folders.is_folder(images), folders.is_folder(masks)
    if all(found):
      return images, masks, ending
    if any(found) and partial is None:
      partial = masks if found[0] else images
  if partial is not None:
    folders.check_folder(partial, _LAYOUT)
  raise UserError(
    f'{root}: no images of bdd100k for split {split!r}; point data.root at the'
    f' folder that has {_LAYOUT}'
  )


def _scenes(root: pathlib.Path, variant: str, split: str) -> list[base.Scene]:
  """Lists the images of a split, those without image or label included."""
  image_folder, label_folder, ending = _find_layout(root, variant, split)
  scenes = folders.pair(
    folders.Side(
      image_folder,
      '.jpg',
      folders.files_by_stem(image_folder, folders.IMAGE_SUFFIXES),
    ),
    folders.Side(
      label_folder,
      f'{ending}.png',
      folders.files_by_stem(label_folder, ('.png',), ending),
    ),
  )
  return [
    folders.scene_of_files(root, name, 'bdd100k', files)
    for name, files in scenes.items()
  ]
