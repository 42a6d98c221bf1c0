"""Weights of the error mask, learnt: which of its parts predict errors?

The paper sets alpha = beta = 0.5. Here they are the coefficients, none of
them negative, of a logistic regression of "this pixel is wrong" on the maps,
scaled to sum to 1: the mask stays a weighted mean in [0, 1]. The images they
are fitted on must be labelled and not trained on, or there would be few
errors to learn from. Not in the paper.
"""

import numpy as np
from jaxtyping import Bool, Float

# SciPy has no annotations.
from scipy import optimize, special  # pyrefly: ignore[untyped-import]

# Below it, coefficients are nothing but rounding.
_NOTHING = 1e-6


def fit(
  parts: Float[np.ndarray, 'n k'], wrong: Bool[np.ndarray, 'n']
) -> Float[np.ndarray, 'k'] | None:
  """Non-negative weights that sum to 1.

  Args:
    parts: the maps' values at n pixels, finite.
    wrong: whether the prediction is wrong there.

  Returns:
    float64 weights, or None where no part predicts errors: there are none,
    nothing but errors, or every part is lower where S is wrong.
  """
  if not len(wrong) or wrong.all() or not wrong.any():
    return None
  parts = parts.astype(np.float64)
  # Whitened, so that the optimiser sees one scale; undone below.
  spread = parts.std(axis=0)
  usable = spread > 0
  if not usable.any():
    return None
  features = parts[:, usable] / spread[usable]
  sign = np.where(wrong, 1.0, -1.0)

  def loss(theta):
    margin = sign * (features @ theta[1:] + theta[0])
    slope = -sign * special.expit(-margin) / len(sign)
    value = np.mean(np.logaddexp(0, -margin))
    return value, np.append(slope.sum(), features.T @ slope)

  start = np.zeros(1 + features.shape[1])
  start[0] = special.logit(wrong.mean())
  bounds = [(None, None)] + [(0, None)] * features.shape[1]
  found = optimize.minimize(
    loss, start, jac=True, method='L-BFGS-B', bounds=bounds
  )
  weights = np.zeros(len(spread))
  weights[usable] = found.x[1:] / spread[usable]
  if weights.sum() < _NOTHING:
    return None
  return weights / weights.sum()
