"""Class tables: the classes of a data set, their colours and label values.

A table is data. Every built-in data set has that of Cityscapes (`CITYSCAPES`:
the 19 classes of Cordts et al., CVPR 2016; `helpers/labels.py` of the package
`cityscapesscripts`); one of a user's own is read by `class_table_file`. What
networks, metrics and reports know of the classes, they know from a table.

A lookup array of a data set has an entry for each value of its label files:
the class index, `VOID` where the value has no class, and `UNDEFINED` where the
data set has no such value. An undefined value in a file means a damaged file
or another data set's file, so `remap` refuses it instead of hiding it as void.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import numpy as np

from common_lib.errors import UserError

# Class indices are stored in 8 bits, of which these are two.
VOID = 255
UNDEFINED = 254
MOST_CLASSES = UNDEFINED

Color = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class ClassTable:
  """The classes that a network tells apart, in the order of their indices.

  Attributes:
    names: of the classes, each once.
    colors: red, green and blue of each, 0..255.
    ids: values of each class in label files.
    void_ids: values in label files that have no class.
    groups: coarse classes, `(name, names of its classes)`; none, or each class
      is in one of them.
  """

  names: tuple[str, ...]
  colors: tuple[Color, ...]
  ids: tuple[tuple[int, ...], ...]
  void_ids: tuple[int, ...] = (VOID,)
  groups: tuple[tuple[str, tuple[str, ...]], ...] = ()

  @property
  def num_classes(self) -> int:
    """How many classes there are."""
    return len(self.names)

  @functools.cached_property
  def palette(self) -> np.ndarray:
    """Colours, uint8 [256, 3]; void and whatever is no class is black."""
    colors = np.zeros((256, 3), np.uint8)
    colors[: self.num_classes] = self.colors
    colors.setflags(write=False)
    return colors

  def colorize(self, label: np.ndarray) -> np.ndarray:
    """Paints class indices in the colours of the table.

    Args:
      label: uint8 [h, w]; void (255) and any other value is painted black.

    Returns:
      uint8 [h, w, 3], RGB.
    """
    return self.palette.take(label, axis=0)  # Thrice as fast as indexing.

  def index(self, name: str) -> int:
    """The class index of a name; ValueError where there is none."""
    return self.names.index(name)

  def name(self, index: int, other: str = 'void') -> str:
    """The name of a class index; `other` for whatever is no class."""
    return self.names[index] if index < self.num_classes else other

  @functools.cached_property
  def lookup(self) -> np.ndarray:
    """For `remap`: class index of each value of a label file."""
    classes = {
      value: index for index, ids in enumerate(self.ids) for value in ids
    }
    return lookup_table(classes, self.void_ids)

  @property
  def group_names(self) -> tuple[str, ...]:
    """Names of the coarse classes."""
    return tuple(name for name, _ in self.groups)

  def group_of_class(self) -> tuple[int, ...]:
    """For each class, the index of its coarse class; empty without groups."""
    if not self.groups:
      return ()
    found = {name: i for i, (_, own) in enumerate(self.groups) for name in own}
    return tuple(found[name] for name in self.names)

  def has_ids_of(self, other: ClassTable) -> bool:
    """Whether both read the same indices out of the same label files."""
    return (self.ids, self.void_ids) == (other.ids, other.void_ids)


def lookup_table(
  classes: Mapping[int, int], void_ids: Sequence[int] = ()
) -> np.ndarray:
  """Builds a data set's lookup array for `remap`.

  Args:
    classes: value in the label files (0..65535) to class index.
    void_ids: values that have no class.

  Returns:
    Read-only uint8 array, of 256 entries or as many as the values need: class
    index, `VOID` or `UNDEFINED` for each value.
  """
  length = max([255, *classes, *void_ids]) + 1
  table = np.full(length, UNDEFINED, np.uint8)
  table[list(void_ids)] = VOID
  for value, index in classes.items():
    if not 0 <= index < MOST_CLASSES:
      raise ValueError(f'{value} is mapped to {index}, which is no class')
    table[value] = index
  table.setflags(write=False)
  return table


# Class, colour, and id in Cityscapes' own label files.
_CITYSCAPES: tuple[tuple[str, Color, int], ...] = (
  ('road', (128, 64, 128), 7),
  ('sidewalk', (244, 35, 232), 8),
  ('building', (70, 70, 70), 11),
  ('wall', (102, 102, 156), 12),
  ('fence', (190, 153, 153), 13),
  ('pole', (153, 153, 153), 17),
  ('traffic light', (250, 170, 30), 19),
  ('traffic sign', (220, 220, 0), 20),
  ('vegetation', (107, 142, 35), 21),
  ('terrain', (152, 251, 152), 22),
  ('sky', (70, 130, 180), 23),
  ('person', (220, 20, 60), 24),
  ('rider', (255, 0, 0), 25),
  ('car', (0, 0, 142), 26),
  ('truck', (0, 0, 70), 27),
  ('bus', (0, 60, 100), 28),
  ('train', (0, 80, 100), 31),
  ('motorcycle', (0, 0, 230), 32),
  ('bicycle', (119, 11, 32), 33),
)
_EVALUATED = frozenset(value for _, _, value in _CITYSCAPES)

# Ids 0..33; the rest of them (ego vehicle, parking, bridge, caravan ...) is
# not evaluated. 255 stays undefined on purpose: it appears in files of
# trainIds, which would otherwise pass for files of ids.
CITYSCAPES = ClassTable(
  names=tuple(name for name, _, _ in _CITYSCAPES),
  colors=tuple(color for _, color, _ in _CITYSCAPES),
  ids=tuple((value,) for _, _, value in _CITYSCAPES),
  void_ids=tuple(i for i in range(34) if i not in _EVALUATED),
)


def remap(ids: np.ndarray, table: np.ndarray, source: object) -> np.ndarray:
  """Maps the values of a label file to class indices.

  Args:
    ids: integer array of any shape, the values of the file. -1, which only a
      signed array can hold, means "no class" (Cityscapes' licence plate) and
      becomes void in every table.
    table: of `lookup_table`.
    source: the file's name, for the message.

  Returns:
    uint8 array of the same shape: class indices, or 255 for void.

  Raises:
    UserError: a value that the data set does not define.
  """
  if ids.dtype == np.uint8 and len(table) == 256:
    mapped = table[ids]
  else:
    inside = (ids >= 0) & (ids < len(table))
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
