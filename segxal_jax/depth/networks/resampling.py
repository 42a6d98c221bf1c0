"""Resampling of images and grids as PyTorch and OpenCV define it.

Every rule here is linear and separable: a small matrix for each axis, made
with NumPy when the program is traced. JAX's own cubic kernel differs from
PyTorch's (a = -1/2 against -3/4), and it has no aligned corners.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# The cubic kernel's parameter in PyTorch and OpenCV.
_CUBIC = -0.75

RULES = ('bilinear', 'bilinear_aligned', 'bicubic')


def resize(
  x: Float[Array, 'b h w k'],
  size: tuple[int, int],
  rule: str,
  offset: float = 0.0,
) -> Float[Array, 'b h2 w2 k']:
  """Resizes both axes, without antialiasing; beyond the edge it repeats.

  Args:
    x: [b h w k] values.
    size: rows and columns of the result.
    rule: 'bilinear' or 'bicubic' with half-pixel centres (`interpolate` with
      `align_corners=False`; the bicubic is also OpenCV's `INTER_CUBIC`), or
      'bilinear_aligned' (`align_corners=True`).
    offset: added to the size where the scale is computed, as DINOv2 does
      with 0.1: `interpolate(scale_factor=(size + offset) / old size)`.

  Returns:
    [b h2 w2 k].
  """
  for axis in (1, 2):
    length = size[axis - 1]
    if x.shape[axis] == length and not offset:
      continue
    matrix = weights(x.shape[axis], length, rule, offset)
    x = _along(x, matrix, axis)
  return x


def weights(have: int, want: int, rule: str, offset: float = 0.0) -> np.ndarray:
  """The matrix of a rule for one axis.

  Args:
    have: length of the input.
    want: length of the output.
    rule: one of `RULES`.
    offset: as for `resize`; ignored by 'bilinear_aligned'.

  Returns:
    [want have] float64; each row sums to one.

  Raises:
    ValueError: the rule is not known.
  """
  if rule not in RULES:
    raise ValueError(f'Unknown rule {rule!r}; use one of {RULES}.')
  index = np.arange(want)
  if rule == 'bilinear_aligned':
    place = index * ((have - 1) / (want - 1) if want > 1 else 0.0)
  else:
    place = (index + 0.5) * have / (want + offset) - 0.5
  if rule != 'bicubic':
    place = np.clip(place, 0, have - 1)
  first = np.floor(place).astype(int)
  part = place - first
  taps = (
    {-1: _cubic(1 + part), 0: _cubic(part)}
    | {1: _cubic(1 - part), 2: _cubic(2 - part)}
    if rule == 'bicubic'
    else {0: 1 - part, 1: part}
  )
  matrix = np.zeros((want, have))
  for shift, weight in taps.items():
    np.add.at(matrix, (index, np.clip(first + shift, 0, have - 1)), weight)
  return matrix


def _cubic(distance: np.ndarray) -> np.ndarray:
  """Keys's kernel at distances in [0, 2]."""
  d, a = distance, _CUBIC
  near = ((a + 2) * d - (a + 3)) * d * d + 1
  far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
  return np.where(d <= 1, near, far)


def _along(x: Array, matrix: np.ndarray, axis: int) -> Array:
  subscripts = 'oh,bhwk->bowk' if axis == 1 else 'ow,bhwk->bhok'
  wide: Any = jnp.promote_types(x.dtype, jnp.float32)
  return jnp.einsum(
    subscripts,
    jnp.asarray(matrix, x.dtype),
    x,
    precision=jax.lax.Precision.HIGHEST,
    preferred_element_type=wide,
  ).astype(x.dtype)
