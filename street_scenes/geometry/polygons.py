"""Paints polygons into a buffer of surface numbers, from far to near."""

from __future__ import annotations

import cv2
import numpy as np

from street_scenes.geometry.camera import Camera
from street_scenes.geometry.mesh import SEE_THROUGH
from street_scenes.geometry.world import World

# The world's primitive i has the surface number i + FIRST.
FIRST = 3
# What is nearer than this is cut off, metres.
NEAR = 0.4
# Polygons smaller than this are left out, samples.
SMALLEST = 1.3
# Fixed-point bits of the corners handed to OpenCV.
_SHIFT = 4


class Polygons:
  """Polygons in camera coordinates that may be seen.

  Attributes:
    near, far: float32 [n], smallest and largest depth.
    primitive: int64 [n], number in the world.
  """

  def __init__(
    self,
    points: np.ndarray,
    starts: np.ndarray,
    primitive: np.ndarray,
    scale: float,
    center: tuple[float, float],
  ):
    self._points = points
    self._starts = starts
    self._scale = scale
    self._center = np.array(center, np.float32)
    self.primitive = primitive
    self.near = np.minimum.reduceat(points[:, 2], starts[:-1])
    self.far = np.maximum.reduceat(points[:, 2], starts[:-1])
    depth = np.maximum(points[:, 2:3], NEAR)
    self._pixels = points[:, :2] * (scale / depth) + self._center

  def _in_sight(self, shape: tuple[int, int]) -> np.ndarray:
    """Returns which polygons may cover a sample, as positions."""
    first = self._starts[:-1]
    low = np.minimum.reduceat(self._pixels, first)
    high = np.maximum.reduceat(self._pixels, first)
    inside = (
      (high[:, 0] > -1)
      & (high[:, 1] > -1)
      & (low[:, 0] < shape[1])
      & (low[:, 1] < shape[0])
      & ((high - low).max(axis=1) > SMALLEST)
    )
    whole = self.near > NEAR
    return np.flatnonzero((self.far > NEAR) & (inside | ~whole))

  def order(
    self, world: World, camera: Camera, shape: tuple[int, int]
  ) -> np.ndarray:
    """Returns the polygons in sight from far to near; see `mesh.py`."""
    seen = self._in_sight(shape)
    place = world.group_place - np.array(
      [camera.position[0], camera.position[2]], np.float32
    )
    groups = np.argsort(-np.hypot(place[:, 0], place[:, 1]), kind='stable')
    rank = np.empty(len(groups))
    rank[groups] = np.arange(len(groups))
    first = self._starts[seen]
    count = self._starts[seen + 1] - first
    # The middle between the first corner and the one opposite.
    middle = self._points[first] + self._points[first + count // 2]
    distance = np.sqrt(np.einsum('ij,ij->i', middle, middle)) / 2
    primitive = self.primitive[seen]
    key = rank[world.group[world.instance[primitive]]] * 1e6
    key += world.layer[primitive] * 1e4
    key -= distance
    return seen[np.argsort(key, kind='stable')]

  def paint(
    self,
    ids: np.ndarray,
    under: np.ndarray,
    order: np.ndarray,
    material: np.ndarray,
  ) -> None:
    """Fills polygons in this order."""
    scaled = np.clip(self._pixels, -3e4, 3e4) * (1 << _SHIFT)
    pixels = np.rint(scaled).astype(np.int32)
    see_through = material >= SEE_THROUGH
    is_holed = np.concatenate([np.zeros(FIRST, bool), see_through])
    primitive = self.primitive[order]
    fill = cv2.fillConvexPoly
    for number, first, last, cut, holed in zip(
      (primitive + FIRST).tolist(),
      self._starts[order].tolist(),
      self._starts[order + 1].tolist(),
      (self.near[order] <= NEAR).tolist(),
      see_through[primitive].tolist(),
    ):
      polygon = self._clip(first, last) if cut else pixels[first:last]
      if polygon is None:
        continue
      if holed:
        _keep_behind(ids, under, polygon, is_holed)
      fill(ids, polygon, number, cv2.LINE_8, _SHIFT)

  def _clip(self, first: int, last: int) -> np.ndarray | None:
    """Cuts off what is nearer than the near plane."""
    corners = self._points[first:last]
    kept = []
    before = corners[-1]
    for corner in corners:
      if (corner[2] > NEAR) != (before[2] > NEAR):
        part = (NEAR - before[2]) / (corner[2] - before[2])
        kept.append(before + part * (corner - before))
      if corner[2] > NEAR:
        kept.append(corner)
      before = corner
    if len(kept) < 3:
      return None
    whole = np.array(kept)
    pixels = whole[:, :2] * (self._scale / whole[:, 2:3]) + self._center
    return np.rint(np.clip(pixels, -3e4, 3e4) * (1 << _SHIFT)).astype(np.int32)


def _keep_behind(
  ids: np.ndarray, under: np.ndarray, polygon: np.ndarray, holed: np.ndarray
) -> None:
  """Remembers what a see-through polygon is about to cover."""
  low = np.maximum(polygon.min(axis=0) >> _SHIFT, 0)
  high = (polygon.max(axis=0) >> _SHIFT) + 2
  box = (slice(low[1], max(high[1], 0)), slice(low[0], max(high[0], 0)))
  behind = ids[box]
  # What lies behind two see-through surfaces is what lies behind the first.
  np.copyto(under[box], behind, where=~holed[behind])
