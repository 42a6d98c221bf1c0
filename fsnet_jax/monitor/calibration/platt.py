"""P(wrong) of a score: Platt's logistic regression on labelled pixels.

The order of pixels does not change, so that neither does any ranking metric;
what changes is that of the pixels with P(wrong) = p a share p is wrong, on
images like those of the fit (Platt 1999; Guo et al. 2017).
"""

from __future__ import annotations

import dataclasses

import numpy as np

_ITERATIONS = 50
# Against a slope without end where all errors lie above all correct pixels.
_RIDGE = 1e-5


@dataclasses.dataclass(frozen=True)
class Platt:
  """P(wrong) = sigmoid(slope * score + offset); the slope is positive."""

  slope: float
  offset: float

  def __call__(self, score: np.ndarray) -> np.ndarray:
    """P(wrong) of scores, float32, in [0, 1]."""
    odds = self.slope * np.asarray(score, np.float64) + self.offset
    return (0.5 * (1 + np.tanh(odds / 2))).astype(np.float32)


def fit(score: np.ndarray, wrong: np.ndarray) -> Platt | None:
  """The regression of the least cross-entropy.

  Args:
    score: [n], finite, higher = more likely wrong.
    wrong: bool [n].

  Returns:
    None where there is nothing to learn from: only wrong or only correct
    pixels, one score for all, or scores that order them the wrong way.
  """
  score = np.asarray(score, np.float64)
  target = np.asarray(wrong, np.float64)
  spread = score.std() if score.size else 0.0
  if not 0 < target.mean() < 1 or not spread > 0:
    return None
  center = score.mean()
  x = np.stack([(score - center) / spread, np.ones_like(score)], axis=1)
  rate = target.mean()
  weights = np.array([0.0, np.log(rate / (1 - rate))])

  def loss(weights: np.ndarray) -> float:
    odds = x @ weights
    own = np.logaddexp(0.0, odds) - target * odds
    return float(own.mean() + _RIDGE / 2 * weights[0] ** 2)

  current = loss(weights)
  for _ in range(_ITERATIONS):
    chance = 0.5 * (1 + np.tanh(x @ weights / 2))
    gradient = x.T @ (chance - target) / len(x)
    gradient[0] += _RIDGE * weights[0]
    bend = (x * (chance * (1 - chance))[:, None]).T @ x / len(x)
    bend[0, 0] += _RIDGE
    bend[1, 1] += 1e-12
    step, length = np.linalg.solve(bend, gradient), 1.0
    while length > 1e-4 and loss(weights - length * step) > current:
      length /= 2
    found = loss(weights - length * step)
    if not found < current:
      break
    weights, current = weights - length * step, found
  slope = weights[0] / spread
  if not slope > 0:
    return None
  return Platt(float(slope), float(weights[1] - slope * center))
