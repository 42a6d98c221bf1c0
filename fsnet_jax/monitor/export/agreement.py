"""Whether a written file says what its run says, but for rounding.

Where two classes are level, rounding decides between them, and F reads the
class: around such a pixel P(wrong) may then differ by more than rounding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, UInt8

# What P(wrong) may differ by.
_TOLERANCE = 1e-4
# Share of the pixels whose class may differ.
_OTHER_CLASS = 1e-3
# Share of the pixels whose P(wrong) may differ by more, where a class differs.
_AROUND = 1e-2
# What it may differ by, wherever F sees such a class, if another image agrees.
_SPREAD = 0.02


@dataclasses.dataclass(frozen=True)
class Agreement:
  """What both say of some images.

  Attributes:
    difference: the largest of P(wrong) at pixels of the same class.
    other_class: share of the pixels whose class differs, 0 to 1.
    beyond: share of the pixels of the same class whose P(wrong) differs by
      more than rounding.
    resized: whether the image is of another size than the networks'. Some of
      the classes that they saw are not among its own then, level ones too.
  """

  difference: float
  other_class: float
  beyond: float
  resized: bool = False

  @property
  def is_rounding(self) -> bool:
    """Whether nothing but rounding explains it."""
    around = _AROUND if self.other_class or self._may_hide_one else 0.0
    return self.other_class <= _OTHER_CLASS and self.beyond <= around

  @property
  def _may_hide_one(self) -> bool:
    return self.resized and self.difference <= _SPREAD

  @property
  def is_exact(self) -> bool:
    """Whether every class is the same, and P(wrong) to rounding."""
    return not self.other_class and not self.beyond

  @property
  def may_be_a_tie(self) -> bool:
    """Whether a few level classes explain it, which a deep F sees from afar."""
    few = 0 < self.other_class <= _OTHER_CLASS
    return few and self.difference <= _SPREAD

  def __str__(self) -> str:
    return (
      f'another class at {100 * self.other_class:.3g} % of the pixels, and '
      f'P(wrong) differs by up to {self.difference:.2g}, at '
      f'{100 * self.beyond:.3g} % by more than {_TOLERANCE:.0e}'
    )


def compare(
  run: tuple[UInt8[np.ndarray, 'b h w'], Float[np.ndarray, 'b h w']],
  file: tuple[UInt8[np.ndarray, 'b h w'], Float[np.ndarray, 'b h w']],
  resized: bool = False,
) -> Agreement:
  """Compares labels and P(wrong) of the run with those of the file.

  Args:
    run: what the run says.
    file: what the file says.
    resized: whether the images are of another size than the networks'.
  """
  (labels, failure), (theirs, own) = run, file
  same = theirs == labels
  differences = np.abs(own - failure)[same]
  return Agreement(
    difference=float(differences.max(initial=0)),
    other_class=float((~same).mean()),
    # A NaN is no rounding.
    beyond=float((~(differences <= _TOLERANCE)).sum()) / same.size,
    resized=resized,
  )


def first_problem(found: Sequence[Agreement]) -> Agreement | None:
  """What no rounding explains; None if there is nothing.

  A level class that comes out the other way changes what F says in a part of
  the image that has no bound but F's depth. Where images without such a class
  agree to rounding, that is what it is; else only a hundredth may differ.

  Args:
    found: of several images, each by itself.
  """
  some_exact = any(one.is_exact for one in found)
  for one in found:
    if not one.is_rounding and not (some_exact and one.may_be_a_tie):
      return one
  return None
