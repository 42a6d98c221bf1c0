"""A pinhole camera with a pose; knows nothing of what it looks at.

World coordinates are metres: x to the right of the street, y up from the road,
z along the street. Camera coordinates are x right, y down, z forward. Pixel
(row, column) = (v, u) has its centre at integer u and v.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Camera:
  """Position, direction and focal length.

  Attributes:
    position: world (x, y, z), metres; y is the height above the road.
    yaw: radians, positive turns to the right of the street.
    pitch: radians, positive looks down.
    roll: radians, positive turns the camera clockwise (the picture the other
      way).
    focal: focal length over the width of a 2:1 picture. Narrower or wider
      pictures show a part of what the 2:1 picture shows.
  """

  position: tuple[float, float, float]
  yaw: float = 0.0
  pitch: float = 0.0
  roll: float = 0.0
  focal: float = 1.0

  def focal_px(self, size: tuple[int, int]) -> float:
    """Returns the focal length in pixels of a picture of size (h, w)."""
    height, width = size
    return self.focal * max(width, 2 * height)

  def rotation(self) -> np.ndarray:
    """Returns float64 [3, 3]: rows = camera axes in world coordinates."""
    sin_yaw, cos_yaw = math.sin(self.yaw), math.cos(self.yaw)
    sin_pitch, cos_pitch = math.sin(self.pitch), math.cos(self.pitch)
    sin_roll, cos_roll = math.sin(self.roll), math.cos(self.roll)
    forward = (sin_yaw * cos_pitch, -sin_pitch, cos_yaw * cos_pitch)
    right = np.array((cos_yaw, 0.0, -sin_yaw))
    down = np.array((-sin_yaw * sin_pitch, -cos_pitch, -cos_yaw * sin_pitch))
    return np.stack(
      [
        cos_roll * right + sin_roll * down,
        cos_roll * down - sin_roll * right,
        np.array(forward),
      ]
    )

  def to_camera(self, points: np.ndarray) -> np.ndarray:
    """Turns world points [..., 3] into camera coordinates, float32."""
    offset = points - np.asarray(self.position, np.float32)
    return offset @ self.rotation().T.astype(np.float32)

  def project(
    self, points: np.ndarray, size: tuple[int, int]
  ) -> tuple[np.ndarray, np.ndarray]:
    """Projects world points.

    Args:
      points: float [..., 3], metres. Points behind the camera give a negative
        depth and a meaningless pixel.
      size: (h, w) of the picture.

    Returns:
      float32 [..., 2] pixel (u, v) and float32 [...] depth z, metres.
    """
    local = self.to_camera(points)
    depth = local[..., 2]
    scale = self.focal_px(size) / depth
    center = ((size[1] - 1) / 2, (size[0] - 1) / 2)
    pixels = np.stack(
      [
        local[..., 0] * scale + center[0],
        local[..., 1] * scale + center[1],
      ],
      axis=-1,
    )
    return pixels.astype(np.float32), depth

  def axes(
    self, size: tuple[int, int], supersample: int = 1
  ) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ray slopes x/z and y/z of the columns and rows.

    Args:
      size: (h, w) of the picture.
      supersample: samples per pixel and direction; sample `supersample * i`
        lies exactly on the centre of pixel i.

    Returns:
      float32 [w * supersample] and float32 [h * supersample].
    """
    height, width = size
    focal = self.focal_px(size)
    columns = np.arange(width * supersample) / supersample
    rows = np.arange(height * supersample) / supersample
    return (
      ((columns - (width - 1) / 2) / focal).astype(np.float32),
      ((rows - (height - 1) / 2) / focal).astype(np.float32),
    )
