"""What a segmentation network from elsewhere is, for all that use one."""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np

from common_lib.class_table import ClassTable
from common_lib.console import say
from common_lib.foreign import quoted

# What batches have of a network: logits, those of the mirrored images, inner
# features, and what the members of an ensemble disagree about.
LOGITS, FLIP_LOGITS, FEATURES = 's_logits', 's_flip_logits', 's_features'
ENSEMBLE = 's_ensemble'


@dataclasses.dataclass(frozen=True)
class ExternalOutput:
  """What a network says of a batch.

  Attributes:
    logits: float32 [b h w c] at the size of the images, finite; c are the
      classes of the network's table.
    features: float32 [b fh fw k], or None where it gives none.
  """

  logits: np.ndarray
  features: np.ndarray | None


@runtime_checkable
class ExternalNetwork(Protocol):
  """A segmentation network outside JAX, which runs before the jitted program.

  Attributes:
    classes: those that its logits are of.
    feature_channels: k of its features, 0 without any.
    takes_any_image: whether it can be called; False for stored logits, which
      are found by the images' ids (`logits_folder.WithLogits`).
    notes: what was assumed or changed on the way, for the user.
  """

  classes: ClassTable
  feature_channels: int
  takes_any_image: bool
  notes: Notes

  def feature_size(self, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Height and width of the features of images of a size, or None."""
    ...

  def __call__(self, images: np.ndarray) -> ExternalOutput:
    """Runs the network.

    Args:
      images: uint8 [b h w 3], RGB, b at least 1.

    Raises:
      UserError: it fails, or what it gives back is not of the contract.
    """
    ...

  def fingerprint(self) -> str:
    """SHA-256, 64 hexadecimal digits, of what decides its outputs."""
    ...


class Notes:
  """Facts about a network that are said once, however often they arise."""

  def __init__(self, *, quiet: bool = False):
    """Starts with none.

    Args:
      quiet: whether they are only kept, and not said.
    """
    self._lines: list[str] = []
    self._quiet = quiet

  def add(self, line: str) -> None:
    """Says a fact, unless it was said before."""
    line = quoted(line, 500)
    if line not in self._lines:
      self._lines.append(line)
      if not self._quiet:
        say(f'note: {line}')

  @property
  def lines(self) -> tuple[str, ...]:
    """All that was said so far."""
    return tuple(self._lines)
