"""Which images a failure network learns from: clean, augmented and shifted.

S is frozen then and the labels stay, so what the mix decides is on which of
S's errors the failure network learns: those near the training images, or those
of another place, light or weather.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from common_lib.errors import UserError
from input_pipeline import transforms
from input_pipeline.transforms import Element, Transform

# Shares of clean, augmented, mildly and strongly shifted images.
MIXES: Mapping[str, tuple[float, float, float, float]] = {
  'clean': (1.0, 0.0, 0.0, 0.0),
  'near': (0.5, 0.5, 0.0, 0.0),
  'balanced': (1 / 3, 1 / 3, 1 / 3, 0.0),
  'far': (0.2, 0.2, 0.3, 0.3),
}


@dataclasses.dataclass(frozen=True)
class TrainingMix:
  """A transform that draws for each image which kind it is.

  Attributes:
    shares: of `MIXES`.
    usual: the augmentation of S's own training.
  """

  shares: tuple[float, float, float, float]
  usual: tuple[Transform, ...] = ()

  @property
  def is_clean(self) -> bool:
    """Whether every image stays as it is."""
    return self.shares[0] == 1.0

  def __call__(
    self, element: Element, generator: np.random.Generator
  ) -> Element:
    """One image, as `input_pipeline.transforms` has it."""
    kinds: tuple[tuple[Transform, ...], ...] = (
      (),
      self.usual,
      (transforms.mild_shift,),
      (transforms.strong_shift,),
    )
    for change in kinds[generator.choice(4, p=self.shares)]:
      element = change(element, generator)
    return element


def training_mix(name: str, augment: Sequence[str | Transform]) -> TrainingMix:
  """The mix of a config.

  Args:
    name: of `MIXES`.
    augment: `config.data.augment`.

  Raises:
    UserError: an unknown name.
  """
  if name not in MIXES:
    raise UserError(
      f'there is no training mix {name!r}: choose one of {", ".join(MIXES)}.'
    )
  return TrainingMix(MIXES[name], transforms.resolve(augment))
