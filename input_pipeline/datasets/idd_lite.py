"""IDD-Lite: Indian streets, labelled with 7 coarse classes.

Mishra et al., "Semantic Segmentation Datasets for Resource Constrained
Training", NCVPRIPG 2019; layout: its example code; classes: `level1Id` of the
table of IDD (AutoNUE/public-code, `helpers/anue_labels.py`).

  root/leftImg8bit/{train,val}/<drive>/<frame>_image.jpg
  root/gtFine/{train,val}/<drive>/<frame>_label.png

`root` is the folder `idd20k_lite` of the package or the one around it. Images
are 227x320. The test split has no public labels, so it is not offered.

The coarse classes are not trainIds and cannot be made into them: "vehicles" is
any of six. Failures have to be found by mapping both sides: a pixel is wrong
where `TRAIN_ID_TO_COARSE[prediction] != coarse_label`. The 19 trainIds map as
IDD's table maps its classes of the same names:

  0 drivable           road
  1 non-drivable       sidewalk, terrain (IDD's "non-drivable fallback")
  2 living things      person, rider
  3 vehicles           car, truck, bus, train, motorcycle, bicycle
  4 roadside objects   wall, fence, pole, traffic light, traffic sign
  5 far objects        building, vegetation
  6 sky                sky

What has no trainId is inside them all the same: animals are living things,
autorickshaws vehicles, bridges far objects, unclear background sky.

A scene has 'coarse_label' in place of 'label', and asking for 'label', as
training does, raises `UserError` rather than give ids of another meaning. An
evaluation asks for `for_evaluation()` and compares the 7 classes.
"""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline import class_groups
from input_pipeline.datasets import base, folders, prepared, readers

SPECS = 'idd_lite[/DRIVE[+DRIVE...]][:train|val]'
SPLITS = ('train', 'val')
_LAYOUT = 'leftImg8bit/{train,val}/ and gtFine/{train,val}/'

# Cityscapes' classes in IDD's groups, in the order of the files' ids.
TABLE = dataclasses.replace(
  class_table.CITYSCAPES,
  groups=(
    ('drivable', ('road',)),
    ('non-drivable', ('sidewalk', 'terrain')),
    ('living things', ('person', 'rider')),
    ('vehicles', ('car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')),
    (
      'roadside objects',
      ('wall', 'fence', 'pole', 'traffic light', 'traffic sign'),
    ),
    ('far objects', ('building', 'vegetation')),
    ('sky', ('sky',)),
  ),
)
COARSE_NAMES = TABLE.group_names
GROUPS = class_groups.ClassGroups.of_table(TABLE)
# Ids of the files: the coarse classes themselves; 255 is void.
FILE_IDS = class_table.lookup_table(
  {i: i for i in range(len(COARSE_NAMES))}, void_ids=(class_table.VOID,)
)
# uint8[256]: trainId to coarse class, void to void.
TRAIN_ID_TO_COARSE = class_table.lookup_table(
  dict(enumerate(TABLE.group_of_class())), void_ids=(class_table.VOID,)
)


class IddLite(base.SceneBuilder):
  """TFDS builder of one official split; its labels are coarse classes."""

  VERSION = tfds.core.Version('1.0.0')

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Reads one image; see `SceneBuilder.load`."""
    return readers.load_scene(scene, self.request, FILE_IDS)


class CoarseSource(prepared.PreparedSource):
  """Scenes with 'coarse_label' (0..6, 255 = void) in place of 'label'."""

  def __getitem__(self, index: int) -> dict[str, Any]:
    scene = super().__getitem__(index)
    return _CoarseScene(coarse_label=scene.pop('label'), **scene)

  def for_evaluation(self) -> class_groups.StandInLabels:
    """The same scenes with a trainId of each pixel's class as 'label'."""
    return class_groups.StandInLabels(self, GROUPS, 'coarse_label')

  def __reduce__(self):
    return CoarseSource, (self._parts,)


class _CoarseScene(dict):
  """A scene that says why it has no 'label'."""

  def __missing__(self, key: str):
    if key == 'label':
      raise UserError(
        'idd_lite has no trainIds, only 7 coarse classes: evaluate on it'
        ' (config.eval.datasets), train on another data set, or read its'
        " scenes' 'coarse_label'"
      )
    raise KeyError(key)


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens images of IDD-Lite.

  Args:
    variant: '' for all drives, or their names joined by '+'.
    split: 'train' or 'val' (default).
    request: `root` is the folder described above.

  Returns:
    The images, sorted by drive and frame; `sequence` is the drive, `id`
    '<drive>_<frame>', and 'coarse_label' stands in place of 'label'.

  Raises:
    UserError: a missing folder, an unknown split or drive, a damaged file.
  """
  split = split or 'val'
  if split not in SPLITS:
    raise UserError(
      f'idd_lite has no split {split!r} with public labels; use one of'
      f' {", ".join(SPLITS)}'
    )
  if request.depth:
    raise UserError('idd_lite has no depth; use another data set')
  root = folders.check_root(request, _LAYOUT)
  scenes = _scenes(root, split)
  source = folders.open_splits(IddLite, {split: scenes}, variant, request)
  return CoarseSource(source._parts)


def _scenes(root: pathlib.Path, split: str) -> list[base.Scene]:
  """Lists the images of a split, those without image or label included."""
  package = root / 'idd20k_lite'
  if not folders.is_folder(package):
    package = root
  image_root = package / 'leftImg8bit' / split
  label_root = package / 'gtFine' / split
  for folder in (image_root, label_root):
    folders.check_folder(folder, _LAYOUT)
  scenes = folders.pair(
    folders.Side(
      image_root,
      '_image.jpg',
      _frames(image_root, folders.IMAGE_SUFFIXES, '_image'),
    ),
    folders.Side(
      label_root, '_label.png', _frames(label_root, ('.png',), '_label')
    ),
  )
  return [
    folders.scene_of_files(
      root, name.replace('/', '_'), name.split('/')[0], files
    )
    for name, files in scenes.items()
  ]


def _frames(
  root: pathlib.Path, suffixes: tuple[str, ...], ending: str
) -> dict[str, pathlib.Path]:
  """'<drive>/<frame>' to file, of all drives of one side."""
  return {
    f'{drive.name}/{frame}': path
    for drive in folders.entries(root)
    if folders.is_folder(drive)
    for frame, path in folders.files_by_stem(drive, suffixes, ending).items()
    # '<frame>_inst_label.png' holds instances.
    if not frame.endswith('_inst')
  }
