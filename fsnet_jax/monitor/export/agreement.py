"""Whether a written file says what its run says, but for rounding.

Where two classes are level, rounding decides between them, and F reads the
class: around such a pixel P(wrong) may then differ by more than rounding.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, UInt8

# What P(wrong) may differ by.
_TOLERANCE = 1e-4
# Share of the pixels whose class may differ.
_OTHER_CLASS = 1e-3
# Share of the pixels whose P(wrong) may differ by more, where a class differs.
_AROUND = 1e-2


@dataclasses.dataclass(frozen=True)
class Agreement:
  """What both say of some images.

  Attributes:
    difference: the largest of P(wrong) at pixels of the same class.
    other_class: share of the pixels whose class differs, 0 to 1.
    beyond: share of the pixels of the same class whose P(wrong) differs by
      more than rounding.
  """

  difference: float
  other_class: float
  beyond: float

  @property
  def is_rounding(self) -> bool:
    """Whether nothing but rounding explains it."""
    around = _AROUND if self.other_class else 0.0
    return self.other_class <= _OTHER_CLASS and self.beyond <= around

  def __str__(self) -> str:
    return (
      f'another class at {100 * self.other_class:.3g} % of the pixels, and '
      f'P(wrong) differs by up to {self.difference:.2g}, at '
      f'{100 * self.beyond:.3g} % by more than {_TOLERANCE:.0e}'
    )


def compare(
  run: tuple[UInt8[np.ndarray, 'b h w'], Float[np.ndarray, 'b h w']],
  file: tuple[UInt8[np.ndarray, 'b h w'], Float[np.ndarray, 'b h w']],
) -> Agreement:
  """Compares labels and P(wrong) of the run with those of the file."""
  (labels, failure), (theirs, own) = run, file
  same = theirs == labels
  differences = np.abs(own - failure)[same]
  return Agreement(
    difference=float(differences.max(initial=0)),
    other_class=float((~same).mean()),
    # A NaN is no rounding.
    beyond=float((~(differences <= _TOLERANCE)).sum()) / same.size,
  )
