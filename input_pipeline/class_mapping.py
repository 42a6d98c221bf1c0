"""Labels in trainIds, for a class table of one's own.

The built-in data sets keep Cityscapes' 19 trainIds. To a table that is not
Cityscapes' own those are ids of label files: its `ids` say which of its classes
each trainId belongs to, its `void_ids` which of them have none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from common_lib.class_table import CITYSCAPES, UNDEFINED, VOID, ClassTable
from common_lib.errors import UserError
from input_pipeline.class_groups import CoarseSource
from input_pipeline.sources import Source

_MOST_NAMED = 5


class MappedSource:
  """A source whose 'label' is in the classes of a table."""

  def __init__(self, source: Source, indices: np.ndarray):
    """Wraps a source.

    Args:
      source: its labels are trainIds, 255 = void.
      indices: of `class_of_train_id`.
    """
    self._source = source
    self._indices = indices

  @property
  def folders(self) -> tuple[str, ...]:
    """The prepared copies that the source reads; none if it is drawn."""
    return getattr(self._source, 'folders', ())

  def __len__(self) -> int:
    return len(self._source)

  def __getitem__(self, index: int) -> dict[str, Any]:
    scene = dict(self._source[index])
    scene['label'] = self._indices[scene['label']]
    return scene

  def __repr__(self) -> str:
    return f'MappedSource({self._source!r})'


def class_of_train_id(table: ClassTable, name: str) -> np.ndarray | None:
  """The class that a table has for each trainId.

  Args:
    table: of the network that is trained or judged; its `ids` and `void_ids`
      are trainIds.
    name: of the data set, for the message.

  Returns:
    uint8 [256]: class index, 255 where there is none. None where the table has
    the ids of Cityscapes' own: then trainIds are its indices.

  Raises:
    UserError: a trainId that is neither in `ids` nor in `void_ids`.
  """
  if table.has_ids_of(CITYSCAPES):
    return None
  indices = np.full(256, VOID, np.uint8)
  indices[: CITYSCAPES.num_classes] = table.lookup[: CITYSCAPES.num_classes]
  missing = np.flatnonzero(indices == UNDEFINED)
  if len(missing):
    named = ', '.join(
      f'{i} ({CITYSCAPES.names[i]})' for i in missing[:_MOST_NAMED]
    )
    more = len(missing) - _MOST_NAMED
    raise UserError(
      f'config.data.classes: the labels of {name} are the trainIds 0 to'
      f' {CITYSCAPES.num_classes - 1}, and the class table does not list'
      f' {named}{f" and {more} more" if more > 0 else ""}; put each into the'
      ' ids of a class or into void_ids'
    )
  return indices


def mapped(source: Source, indices: np.ndarray | None, name: str) -> Source:
  """A built-in data set in the classes of a table.

  Args:
    source: its labels are trainIds.
    indices: of `class_of_train_id`.
    name: of the data set, for the message.

  Raises:
    UserError: its labels are coarser than trainIds.
  """
  if indices is None:
    return source
  if isinstance(source, CoarseSource):
    raise UserError(
      f'{name} has no trainIds, only coarse classes of its own, so it cannot be'
      ' used with the class table of config.data.classes: leave one of the two'
      ' out'
    )
  return MappedSource(source, indices)
