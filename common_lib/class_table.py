"""Class tables: 19 trainIds, their names and colours, each data set's ids.

The 19 classes and their order are those of Cityscapes (Cordts et al., CVPR
2016; table of the package `cityscapesscripts`, `helpers/labels.py`). Every
data set of this package is mapped to them; pixels that belong to none are void.

A table of a data set is a lookup array `uint8[256]`: entry `i` is the trainId
of the data set's id `i`, `VOID` where that id has no class among the 19, and
`UNDEFINED` where the data set has no such id. An undefined id in a file means
a damaged file or another data set's file, so `remap` refuses it instead of
hiding it as void.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common_lib.errors import UserError

NUM_CLASSES = 19
VOID = 255
UNDEFINED = 254

CLASS_NAMES = (
  'road',
  'sidewalk',
  'building',
  'wall',
  'fence',
  'pole',
  'traffic light',
  'traffic sign',
  'vegetation',
  'terrain',
  'sky',
  'person',
  'rider',
  'car',
  'truck',
  'bus',
  'train',
  'motorcycle',
  'bicycle',
)

# RGB, row = trainId.
PALETTE = np.array(
  [
    (128, 64, 128),
    (244, 35, 232),
    (70, 70, 70),
    (102, 102, 156),
    (190, 153, 153),
    (153, 153, 153),
    (250, 170, 30),
    (220, 220, 0),
    (107, 142, 35),
    (152, 251, 152),
    (70, 130, 180),
    (220, 20, 60),
    (255, 0, 0),
    (0, 0, 142),
    (0, 0, 70),
    (0, 60, 100),
    (0, 80, 100),
    (0, 0, 230),
    (119, 11, 32),
  ],
  np.uint8,
)
PALETTE.setflags(write=False)


def lookup_table(
  classes: Mapping[int, int], void_ids: tuple[int, ...] = ()
) -> np.ndarray:
  """Builds a data set's lookup array for `remap`.

  Args:
    classes: id of the data set (0..255) to trainId (0..18).
    void_ids: ids of the data set that have no class among the 19.

  Returns:
    Read-only uint8[256]: trainId, `VOID` or `UNDEFINED` for each id.
  """
  table = np.full(256, UNDEFINED, np.uint8)
  table[list(void_ids)] = VOID
  for data_id, train_id in classes.items():
    if not 0 <= train_id < NUM_CLASSES:
      raise ValueError(f'id {data_id} is mapped to {train_id}, not to 0..18')
    table[data_id] = train_id
  table.setflags(write=False)
  return table


_CITYSCAPES_IDS = {
  7: 0,  # road
  8: 1,  # sidewalk
  11: 2,  # building
  12: 3,  # wall
  13: 4,  # fence
  17: 5,  # pole
  19: 6,  # traffic light
  20: 7,  # traffic sign
  21: 8,  # vegetation
  22: 9,  # terrain
  23: 10,  # sky
  24: 11,  # person
  25: 12,  # rider
  26: 13,  # car
  27: 14,  # truck
  28: 15,  # bus
  31: 16,  # train
  32: 17,  # motorcycle
  33: 18,  # bicycle
}

# Ids 0..33; the rest of them (ego vehicle, parking, bridge, caravan ...) is
# not evaluated. 255 stays undefined on purpose: it appears in files of
# trainIds, which would otherwise pass for files of ids.
CITYSCAPES = lookup_table(
  _CITYSCAPES_IDS, tuple(i for i in range(34) if i not in _CITYSCAPES_IDS)
)

# The 12 ids of the SegNet tutorial. Where its merged classes straddle ours we
# take the larger part: "Building" holds walls and bridges too, "Tree" grass,
# "SignSymbol" traffic lights, "Car" trucks and buses, "Bicyclist" motorcycles.
# "Bicyclist" is a rider and the bicycle in one region. It becomes bicycle (18),
# not rider (12) and not void: person and rider are already told apart by
# "Pedestrian", and a scored class beats an ignored one. A network trained on
# Cityscapes is thereby charged for calling the upper body rider.
CAMVID = lookup_table(
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


def remap(ids: np.ndarray, table: np.ndarray, source: object) -> np.ndarray:
  """Maps a data set's ids to trainIds.

  Args:
    ids: integer array of any shape, the ids of the file. -1, which only a
      signed array can hold, means "no class" (Cityscapes' licence plate) and
      becomes void in every table.
    table: uint8[256] of `lookup_table`.
    source: the file's name, for the message.

  Returns:
    uint8 array of the same shape: 0..18, or 255 for void.

  Raises:
    UserError: an id that the data set does not define.
  """
  if ids.dtype == np.uint8:
    mapped = table[ids]
  else:
    inside = (ids >= 0) & (ids < 256)
    mapped = np.where(inside, table[np.where(inside, ids, 0)], UNDEFINED)
    mapped = np.where(ids == -1, VOID, mapped).astype(np.uint8)
  wrong = mapped == UNDEFINED
  if wrong.any():
    values = ', '.join(str(i) for i in np.unique(ids[wrong])[:5])
    raise UserError(
      f'{source}: label id {values} is not defined for this data set'
      f' ({wrong.sum()} pixels); restore the file from the original data set'
    )
  return mapped


def colorize(label: np.ndarray) -> np.ndarray:
  """Paints trainIds in the Cityscapes colours.

  Args:
    label: uint8 [h, w], trainIds 0..18; void (255) and any other value is
      painted black.

  Returns:
    uint8 [h, w, 3], RGB.
  """
  colors = np.zeros((256, 3), np.uint8)
  colors[:NUM_CLASSES] = PALETTE
  return colors[label]


def color_of(index: int) -> tuple[int, int, int]:
  """Red, green and blue of a class, 0..255."""
  red, green, blue = PALETTE[index].tolist()
  return red, green, blue
