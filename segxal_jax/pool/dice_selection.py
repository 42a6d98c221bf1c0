"""Which answers join the labelled pool (paper 3.4, eq. 4)."""

import numpy as np
from jaxtyping import UInt8


def dice(
  prediction: UInt8[np.ndarray, 'h w'],
  annotation: UInt8[np.ndarray, 'h w'],
  num_classes: int,
) -> float | None:
  """Mean over classes of 2 |A and B| / (|A| + |B|), of two label maps.

  Eq. 4 does not say how classes combine. The mean over classes is meant: the
  paper uses Dice for class imbalance, which the pooled form, that is the pixel
  accuracy, ignores.

  Args:
    prediction: classes of the network.
    annotation: classes of the oracle, 255 = void.
    num_classes: c.

  Returns:
    Macro Dice over the pixels where neither is void and the classes that
    occur in either, in [0, 1]; None where there is no such pixel.
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
  return float(ratios.mean())


def accepts(rule: str, theta: float, macro_dice: float | None) -> bool:
  """Whether an annotated image joins the labelled pool.

  Args:
    rule: 'dice': where macro Dice is at least theta, as in the paper. This
      keeps the images in which the oracle changed little, the least
      informative ones; 'all' is the control that keeps every answer.
    theta: of 'dice'.
    macro_dice: of `dice`; None for an answer without a labelled pixel, which
      never joins: there is nothing to learn from it.

  Raises:
    ValueError: an unknown rule.
  """
  if rule not in ('dice', 'all'):
    raise ValueError(f'unknown selection rule {rule!r}')
  if macro_dice is None:
    return False
  return rule == 'all' or macro_dice >= theta
