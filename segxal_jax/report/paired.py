"""Is one method better than another? Differences over the seeds both have."""

import math
import statistics
from collections.abc import Sequence
from typing import Any

from jax.scipy.special import betainc

# Two-sided 95 % of Student's t by degrees of freedom.
STUDENT_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)


def compare(differences: Sequence[float]) -> dict[str, Any] | None:
  """Mean difference, its interval, and Student's paired test.

  Args:
    differences: one a seed.

  Returns:
    None without any; else `mean`, `seeds`, `ahead` (seeds with a positive
    difference), and from two seeds on `half_width` of the 95 % interval and
    the two-sided `p_value`; both are None for one seed, and the second one
    where all differences are equal: their spread is then not known.
  """
  if not differences:
    return None
  count = len(differences)
  result: dict[str, Any] = {
    'mean': statistics.fmean(differences),
    'seeds': count,
    'ahead': sum(value > 0 for value in differences),
    'half_width': None,
    'p_value': None,
  }
  if count < 2:
    return result
  freedom = count - 1
  error = statistics.stdev(differences) / math.sqrt(count)
  factor = STUDENT_95[freedom - 1] if freedom <= len(STUDENT_95) else 1.96
  result['half_width'] = factor * error
  if error > 0:
    t = result['mean'] / error
    result['p_value'] = float(
      betainc(freedom / 2, 0.5, freedom / (freedom + t * t))
    )
  return result
