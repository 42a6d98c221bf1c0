"""Where in an image a pixel lies: at an edge of a class, in a small object.

Detectors find the errors along edges easily, for the softmax is unsure there
whatever it knows; whether they find a missed pole or person is another
question. Both are answered by themselves (`detail_counts`).
"""

from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from common_lib.class_table import CITYSCAPES, VOID, ClassTable

#: Classes whose components are objects, by name.
THINGS = (
  'pole',
  'traffic light',
  'traffic sign',
  'person',
  'rider',
  'car',
  'truck',
  'bus',
  'train',
  'motorcycle',
  'bicycle',
)

#: An object is small below this share of its image's pixels.
SMALL = 1e-3

# Codes of a pixel, which add up.
_BOUNDARY, _SMALL_OBJECT = 1, 2

#: Number of codes.
NUM_CODES = 4

#: By name of a region the codes of its pixels. The first two share the pixels
#: out; small objects have both kinds.
REGIONS = {'boundary': (1, 3), 'interior': (0, 2), 'small_objects': (2, 3)}


def things_of(classes: ClassTable) -> tuple[int, ...]:
  """Indices of the classes of a table that are `THINGS`."""
  return tuple(i for i, name in enumerate(classes.names) if name in THINGS)


def region_codes(
  label: UInt8[np.ndarray, 'h w'],
  things: Sequence[int] = things_of(CITYSCAPES),
) -> UInt8[np.ndarray, 'h w']:
  """The regions that the pixels of one image are in.

  Args:
    label: true class indices, or the lowest of their group each; 255 = void.
    things: classes whose components are objects.

  Returns:
    0..`NUM_CODES` - 1, to be read by `REGIONS`. `boundary`: within 2 pixels
    of a change of label, that is one of the two pixels at it or beside one
    of these, by sides (4-neighbourhood); a change to or from void is none.
    `small_objects`: in an 8-connected component of one of `things` with
    fewer than `SMALL` of the image's pixels. Void pixels have codes too,
    which mean nothing.
  """
  codes = np.where(_near_changes(label), np.uint8(_BOUNDARY), np.uint8(0))
  codes[_in_small_objects(label, things)] |= np.uint8(_SMALL_OBJECT)
  return codes


def _near_changes(label: UInt8[np.ndarray, 'h w']) -> Bool[np.ndarray, 'h w']:
  """Pixels at a change of label, and those beside them."""
  known = label != VOID
  at_change = np.zeros(label.shape, bool)
  for one, other in _neighbours():
    change = (label[one] != label[other]) & known[one] & known[other]
    at_change[one] |= change
    at_change[other] |= change
  near = at_change.copy()
  for one, other in _neighbours():
    near[one] |= at_change[other]
    near[other] |= at_change[one]
  return near


def _neighbours() -> tuple[tuple[tuple[slice, ...], ...], ...]:
  """Pairs of views that lay each pixel on the one below, and to the right."""
  first, last, every = slice(None, -1), slice(1, None), slice(None)
  return ((first, every), (last, every)), ((every, first), (every, last))


def _in_small_objects(
  label: UInt8[np.ndarray, 'h w'], things: Sequence[int]
) -> Bool[np.ndarray, 'h w']:
  """Pixels of components that are small."""
  small = np.zeros(label.shape, bool)
  pixels = np.bincount(label.reshape(-1), minlength=VOID + 1)
  for thing in things:
    if not pixels[thing]:
      continue
    mask = (label == thing).view(np.uint8)
    _, numbers, stats, _ = cv2.connectedComponentsWithStats(
      mask, connectivity=8
    )
    few = stats[:, cv2.CC_STAT_AREA] < SMALL * label.size
    few[0] = False  # What is not of this class.
    small |= few[numbers]
  return small
