"""The false positive rate where 95 % of the positives are found."""

import numpy as np

#: Share of the positives that is to be found, in percent. A whole number, so
#: that exactly this share is never missed by rounding.
FPR95_PERCENT = 95


def threshold(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Where 95 % of the positives are found.

  Args:
    found: whole numbers [..., s], positives up to and with each step; at
      least one in the last.

  Returns:
    The first step that reaches the share, and how many positives that are.
  """
  needed = np.asarray(-(-FPR95_PERCENT * found[..., -1] // 100))
  step = np.argmax(found >= needed[..., None], axis=-1)
  return np.asarray(step), needed


def fpr95(
  wrong: np.ndarray, correct: np.ndarray, tied: np.ndarray
) -> np.ndarray:
  """Share of right pixels flagged where 95 % of the wrong ones are.

  Args:
    wrong: whole numbers [..., s], wrongly segmented pixels of each step, most
      suspicious first; at least one.
    correct: likewise, rightly segmented ones.
    tied: bool [s], whether the pixels of a step all have the same score.

  Returns:
    float64 [...] in [0, 1]. Within an untied step the right pixels fall
    evenly into the gaps that the wrong ones leave, as they do on average over
    its orders.
  """
  found = np.cumsum(wrong, axis=-1)
  step, needed = threshold(found)

  def there(counts: np.ndarray) -> np.ndarray:
    return np.take_along_axis(counts, step[..., None], axis=-1)[..., 0]

  positives, negatives = there(wrong), there(correct)
  needed = needed - (there(found) - positives)
  share = np.where(tied[step], 1.0, needed / (positives + 1))
  before = there(np.cumsum(correct, axis=-1)) - negatives
  return np.asarray((negatives * share + before) / correct.sum(axis=-1))
