"""A prior that looks at no pixel: the road is flat, the camera is level.

A point of the ground at row r below the horizon r0 has inverse depth
(r - r0) / (f * camera height): proximity rises linearly from the horizon down.
Everything above the horizon counts as far. It needs no weights, and knows
nothing of what stands on the road; use a depth network or the data set's
depth where there is one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from common_lib.errors import UserError


class GroundPlane:
  """Relative inverse depth from the row alone."""

  name = 'ground_plane'
  title = 'ground-plane prior (no depth is measured)'
  inverse = True
  needs_dataset_depth = False
  fingerprint = ''

  def __init__(self, horizon: float):
    """Places the horizon at this share of the image's height, from the top."""
    self._horizon = horizon

  def __call__(self, scene: Mapping[str, Any]) -> np.ndarray:
    """See `DepthProvider`; between 0 at the horizon and 1 at the bottom."""
    height, width = scene['image'].shape[:2]
    rows = (np.arange(height) + 0.5) / height
    near = np.clip((rows - self._horizon) / (1 - self._horizon), 0, 1)
    return np.repeat(near[:, None], width, axis=1).astype(np.float32)


def create(options: ConfigDict) -> GroundPlane:
  """See `segxal_jax.depth`.

  Raises:
    UserError: a horizon outside the image.
  """
  if not 0 <= options.horizon < 1:
    raise UserError(
      f'config.depth.horizon is {options.horizon}: it is a share of the '
      "image's height, at least 0 and less than 1."
    )
  return GroundPlane(options.horizon)
