"""Which channels of a network's output are which classes."""

from __future__ import annotations

import dataclasses

import numpy as np

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted


@dataclasses.dataclass(frozen=True)
class ChannelMap:
  """Channels of logits, for each class of a table.

  Attributes:
    channels: of each class, the channels that mean it. Of several, the
      log-sum-exp is the class's logit: their probabilities are added.
    expected: how many channels there have to be; 0 where any channel that no
      class names is left out ("void", say).
  """

  channels: tuple[tuple[int, ...], ...]
  expected: int

  @property
  def least(self) -> int:
    """How many channels there are at least."""
    return 1 + max(max(own) for own in self.channels)

  def fits(self, count: int) -> bool:
    """Whether logits may have so many channels."""
    return count == self.expected or (not self.expected and count >= self.least)

  def apply(self, logits: np.ndarray) -> np.ndarray:
    """Logits of the classes.

    Args:
      logits: float32 [... channels].

    Returns:
      float32 [... classes].
    """
    straight = tuple((i,) for i in range(logits.shape[-1]))
    if self.channels == straight:
      return logits
    first = [own[0] for own in self.channels]
    found = logits[..., first]
    for index, own in enumerate(self.channels):
      if len(own) > 1:
        found[..., index] = np.logaddexp.reduce(logits[..., own], axis=-1)
    return found


def between(
  own: ClassTable,
  wanted: ClassTable,
  outputs: tuple[tuple[int, ...], ...],
  where: str,
) -> ChannelMap:
  """Which channels mean the classes that are wanted.

  Args:
    own: the classes of the network.
    wanted: the classes of the data. One has the name of a class of the
      network, or of one of its groups, whose classes are then added up.
    outputs: channels of each class of the network; empty = one each, in the
      order of the table.
    where: the network's description, for the message.

  Raises:
    UserError: a class that the network does not have, or a number of channels
      that is not that of its classes.
  """
  if outputs and len(outputs) != own.num_classes:
    raise UserError(
      f'{where}: outputs.classes has {len(outputs)} entries, but there are '
      f'{own.num_classes} classes; give the channel of each class, in the '
      'order of the class table'
    )
  channels = outputs or tuple((i,) for i in range(own.num_classes))
  expected = 0 if outputs else own.num_classes
  if own.names == wanted.names:
    return ChannelMap(channels, expected)
  members = {name: (name,) for name in own.names}
  members = {**dict(own.groups), **members}
  found = []
  for name in wanted.names:
    if name not in members:
      raise UserError(
        f'{where}: the data have a class {quoted(name, 80)!r}, which is '
        'neither a class nor a group of the class table that "classes" names; '
        'name it there as the data do, or list the channels of each class of '
        'the data in outputs.classes and set "classes" to null'
      )
    parts = (channels[own.index(part)] for part in members[name])
    found.append(tuple(channel for part in parts for channel in part))
  return ChannelMap(tuple(found), expected)
