"""CamVid in the folder layout and the 12 ids of the SegNet tutorial.

Brostow, Fauqueur, Cipolla, "Semantic object classes in video", PRL 2009;
layout and merged classes: Badrinarayanan, Kendall, Cipolla, "SegNet", TPAMI
2017, and its tutorial. Eleven of the 19 classes occur.

  root/train/<sequence>_<frame>.png (or .jpg)   root/trainannot/<same name>.png
  root/val/...                                  root/valannot/...
  root/test/...                                 root/testannot/...

`val` is one clip of 0016E5 about a second away from its neighbours in `train`,
so it says little about new places. Honest hold-outs are whole sequences: train
on `camvid/0016E5:train`, test on `camvid/0006R0` (another place, day) and
`camvid/0001TP` (dusk).
"""

from __future__ import annotations

import pathlib

import numpy as np
import tensorflow_datasets as tfds

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline.datasets import base, folders, readers

SPECS = 'camvid[/SEQUENCE[+SEQUENCE...]][:train|val|test]'
SPLITS = ('train', 'val', 'test')

# The 12 ids of the SegNet tutorial. Where its merged classes straddle ours we
# take the larger part: "Building" holds walls and bridges too, "Tree" grass,
# "SignSymbol" traffic lights, "Car" trucks and buses, "Bicyclist" motorcycles.
# "Bicyclist" is a rider and the bicycle in one region. It becomes bicycle (18),
# not rider (12) and not void: person and rider are already told apart by
# "Pedestrian", and a scored class beats an ignored one. A network trained on
# Cityscapes is thereby charged for calling the upper body rider.
TABLE = class_table.lookup_table(
  {
    0: 10,  # Sky
    1: 2,  # Building
    2: 5,  # Pole
    3: 0,  # Road
    4: 1,  # Pavement
    5: 8,  # Tree
    6: 7,  # SignSymbol
    7: 4,  # Fence
    8: 13,  # Car
    9: 11,  # Pedestrian
    10: 18,  # Bicyclist
  },
  void_ids=(11,),  # Unlabelled
)
_LAYOUT = 'train/, trainannot/, val/, valannot/ (and test/, testannot/)'


class Camvid(base.SceneBuilder):
  """TFDS builder of one official split."""

  VERSION = tfds.core.Version('1.0.0')

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Reads one frame; see `SceneBuilder.load`."""
    return readers.load_scene(scene, self.request, TABLE)


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens frames of CamVid.

  Args:
    variant: '' for all sequences, or their names joined by '+'.
    split: 'train', 'val' or 'test'. By default 'val'; with a variant, every
      official split that the root has.
    request: `root` is the folder described above.

  Returns:
    The frames, sorted by split and name.

  Raises:
    UserError: a missing folder, an unknown split or sequence, a damaged file.
  """
  if split and split not in SPLITS:
    raise UserError(
      f'camvid has no split {split!r}; use one of {", ".join(SPLITS)}'
    )
  if request.depth:
    raise UserError('camvid has no depth; use another data set')
  root = folders.check_root(request, _LAYOUT)
  if split:
    names = [split]
  elif variant:
    names = [name for name in SPLITS if folders.is_folder(root / name)]
    if not names:
      folders.check_folder(root / SPLITS[0], _LAYOUT)
  else:
    names = ['val']
  return folders.open_splits(
    Camvid, {name: _scenes(root, name) for name in names}, variant, request
  )


def _scenes(root: pathlib.Path, split: str) -> list[base.Scene]:
  """Lists the frames of a split, those without image or label included."""
  image_folder, label_folder = root / split, root / f'{split}annot'
  for folder in (image_folder, label_folder):
    folders.check_folder(folder, _LAYOUT)
  scenes = folders.pair(
    folders.Side(
      image_folder,
      '.png',
      folders.files_by_stem(image_folder, folders.IMAGE_SUFFIXES),
    ),
    folders.Side(
      label_folder, '.png', folders.files_by_stem(label_folder, ('.png',))
    ),
  )
  return [
    folders.scene_of_files(root, name, name.split('_')[0], files)
    for name, files in scenes.items()
  ]
