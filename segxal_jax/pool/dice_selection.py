"""Which answers join the labelled pool (paper 3.4, eq. 4)."""

import dataclasses

import numpy as np
from jaxtyping import UInt8


@dataclasses.dataclass(frozen=True)
class DiceScores:
  """Agreement of a prediction with its re-annotation.

  Attributes:
    macro: mean over classes of 2 |A and B| / (|A| + |B|).
    micro: the same of all pixels at once, which for label maps is the pixel
      accuracy.
  """

  macro: float
  micro: float


def dice(
  prediction: UInt8[np.ndarray, 'h w'],
  annotation: UInt8[np.ndarray, 'h w'],
  num_classes: int,
) -> DiceScores | None:
  """Dice of two label maps.

  Eq. 4 does not say how classes combine. The mean over classes is meant: the
  paper chooses Dice for class imbalance, which the pooled form ignores.

  Args:
    prediction: classes of the network.
    annotation: classes of the oracle, 255 = void.
    num_classes: c.

  Returns:
    Scores over the pixels where neither is void and the classes that occur
    in either; None where there is no such pixel.
  """
  both = (prediction < num_classes) & (annotation < num_classes)
  a, b = prediction[both].astype(np.int64), annotation[both].astype(np.int64)
  if a.size == 0:
    return None
  size_a = np.bincount(a, minlength=num_classes)
  size_b = np.bincount(b, minlength=num_classes)
  shared = np.bincount(a[a == b], minlength=num_classes)
  present = size_a + size_b > 0
  ratios = 2 * shared[present] / (size_a + size_b)[present]
  return DiceScores(float(ratios.mean()), float(shared.sum() / a.size))


def accepts(rule: str, theta: float, scores: DiceScores | None) -> bool:
  """Whether an annotated image joins the labelled pool.

  Args:
    rule: 'dice': where macro Dice is at least theta, as the paper says. This
      keeps the images in which the oracle changed little, the least
      informative ones; 'all' is the control that keeps every answer.
    theta: of 'dice'.
    scores: None for an answer without a labelled pixel, which never joins:
      there is nothing to learn from it.

  Raises:
    ValueError: an unknown rule.
  """
  if rule not in ('dice', 'all'):
    raise ValueError(f'unknown selection rule {rule!r}')
  if scores is None:
    return False
  return rule == 'all' or scores.macro >= theta
