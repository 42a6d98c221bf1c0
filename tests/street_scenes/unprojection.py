"""The inverse of `Camera.project`, to check where drawn surfaces are."""

import numpy as np


def unproject(camera, depth: np.ndarray) -> np.ndarray:
  """World points [h w 3] of a depth map [h w], metres along the z axis."""
  slope_x, slope_y = camera.axes(depth.shape)
  local = np.stack(
    [slope_x[None, :] * depth, slope_y[:, None] * depth, depth], axis=-1
  )
  world = local @ camera.rotation() + np.asarray(camera.position)
  return world.astype(np.float32)
