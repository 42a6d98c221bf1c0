"""Labels that are coarser than the classes of a network."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol, runtime_checkable

import numpy as np

from common_lib.class_table import VOID, ClassTable
from input_pipeline.sources import Source


@dataclasses.dataclass(frozen=True)
class ClassGroups:
  """Coarse classes that each hold one or more of a table's (trainIds).

  A prediction and a label agree where both belong to one group: both sides
  are mapped, so calling a truck a car is no error if both are "vehicles".

  Attributes:
    names: of the groups.
    of_train_id: group of each trainId, 0..len(names) - 1.
  """

  names: tuple[str, ...]
  of_train_id: tuple[int, ...]

  @classmethod
  def of_table(cls, table: ClassTable) -> ClassGroups:
    """The groups that a class table has.

    Raises:
      ValueError: it has none.
    """
    if not table.groups:
      raise ValueError('the class table has no groups')
    return cls(table.group_names, table.group_of_class())

  def stand_ins(self) -> np.ndarray:
    """The lowest trainId of each group, uint8 [groups], to stand for it."""
    return np.array(
      [self.of_train_id.index(group) for group in range(len(self.names))],
      np.uint8,
    )


@runtime_checkable
class GroupedSource(Source, Protocol):
  """A source of whose trainIds only groups are to be told apart.

  Attributes:
    groups: that an evaluation compares.
  """

  groups: ClassGroups


@runtime_checkable
class CoarseSource(Source, Protocol):
  """A source with labels of its own, coarser than the trainIds."""

  def for_evaluation(self) -> GroupedSource:
    """The same scenes with trainIds as 'label'."""
    ...


class StandInLabels:
  """A source whose 'label' is the stand-in of each pixel's group.

  The stand-ins are trainIds, so pictures and colours need no second table;
  `groups` says which of them are to be told apart.
  """

  def __init__(self, source: Source, groups: ClassGroups, key: str):
    """Wraps a source.

    Args:
      source: its scenes hold, under `key`, uint8 [h, w] groups or 255 = void.
      groups: of the labels.
      key: name of the labels.
    """
    self._source = source
    self._key = key
    self.groups = groups

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    scene = dict(self._source[index])
    table = np.full(256, VOID, np.uint8)
    table[: len(self.groups.names)] = self.groups.stand_ins()
    scene['label'] = table[scene.pop(self._key)]
    return scene


class GroupLabels:
  """A source whose 'label' is the stand-in of the group of each class."""

  def __init__(self, source: Source, groups: ClassGroups):
    """Wraps a source, whose scenes have class indices as 'label'."""
    self._source = source
    self._table = np.full(256, VOID, np.uint8)
    stand_ins = groups.stand_ins()
    for index, group in enumerate(groups.of_train_id):
      self._table[index] = stand_ins[group]
    self.groups = groups

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    scene = dict(self._source[index])
    scene['label'] = self._table[scene['label']]
    return scene


def for_evaluation(source: Source) -> tuple[Source, ClassGroups | None]:
  """The source as an evaluation can read it, and the classes to compare.

  Args:
    source: any source.

  Returns:
    The source with 'label' in trainIds, and the groups to compare, or None
    where the trainIds themselves are compared.
  """
  if not isinstance(source, CoarseSource):
    return source, None
  wrapped = source.for_evaluation()
  return wrapped, wrapped.groups
