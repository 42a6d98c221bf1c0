"""What an image costs in a file that was just written."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

_CALLS = 8


def milliseconds(
  call: Callable[[np.ndarray], object], images: np.ndarray
) -> float:
  """The median of an image, one by one; the first call does not count.

  Args:
    call: a back end.
    images: uint8 [n h w 3], taken in turns.
  """
  seconds = []
  for index in range(_CALLS):
    image = images[index % len(images)][None]
    start = time.perf_counter()
    call(image)
    seconds.append(time.perf_counter() - start)
  return 1e3 * float(np.median(seconds[1:]))
