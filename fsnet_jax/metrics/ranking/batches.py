"""Host arrays of any size, made ready for a compiled function."""

import numpy as np
from jaxtyping import Array

Arrays = Array | np.ndarray

# Below this size, batches are padded to a power of two, so that data of many
# different small sizes does not compile as many programs.
_PAD_BELOW = 1 << 16
_SMALLEST = 1 << 12


def pad_small(*arrays: Arrays | None) -> tuple[Arrays | None, ...]:
  """Flattens and pads small arrays with zeros, False being invalid.

  Args:
    *arrays: of one shape, or None.

  Returns:
    The same: below 65536 elements filled up to 4096 or the next power of two,
    larger ones as they are.

  Raises:
    ValueError: if the arrays differ in shape.
  """
  shapes = {np.shape(array) for array in arrays if array is not None}
  if len(shapes) > 1:
    raise ValueError(f'arrays of one batch differ in shape: {sorted(shapes)}')
  size = int(np.prod(shapes.pop()))
  if size >= _PAD_BELOW:
    return arrays
  padding = max(1 << max(size - 1, 0).bit_length(), _SMALLEST) - size
  return tuple(
    None
    if array is None
    else np.pad(np.asarray(array).reshape(-1), (0, padding))
    for array in arrays
  )


def as_float32(values: Arrays | None) -> Arrays | None:
  """Casts numpy floats to float32, too large ones to infinity."""
  if not isinstance(values, np.ndarray):
    return values
  with np.errstate(over='ignore'):
    return values.astype(np.float32, copy=False)
