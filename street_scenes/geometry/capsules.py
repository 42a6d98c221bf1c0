"""Capsules: their outlines as a camera sees them, and their round surface."""

from __future__ import annotations

import numpy as np

from street_scenes.geometry.camera import Camera
from street_scenes.geometry.mesh import Material
from street_scenes.geometry.polygons import NEAR, SMALLEST
from street_scenes.geometry.world import World

# Steps towards the surface of a capsule from a first guess.
_NEWTON_STEPS = 2
# Factors on the radius: the first row is smooth, the others outlines of leaves.
_RAGGED = (
  np.random.default_rng(7).uniform(0.72, 1.12, (17, 12)).astype(np.float32)
)
_RAGGED[0] = 1


def outlines(
  world: World, camera: Camera, scale: float, widest: float, corners: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Outlines of the capsules as the camera sees them.

  Each capsule is replaced by the flat shape in the plane through its axis that
  faces the camera most; `round_shape` bulges it towards the camera again.

  Args:
    world: the objects.
    camera: the camera.
    scale: focal length in samples.
    widest: largest slope x/z in the picture.
    corners: of an outline, even.

  Returns:
    For the s capsules in sight: float32 [s corners 3] in camera coordinates
    and int64 [s] their numbers. For all: float32 [k 12] first end, axis,
    direction to the camera, length, both radii; float32 [k 3] inverse-depth
    planes; without meaning for those out of sight.
  """
  ends = camera.to_camera(world.ends)
  shown = _rounds_in_sight(ends, world.radii, scale, widest)
  ends, radii = ends[shown], world.radii[shown]
  start, stop = ends[:, 0], ends[:, 1]
  axis = stop - start
  length = np.sqrt(np.einsum('ij,ij->i', axis, axis))
  to_camera = _unit(-(start + stop))
  # A ball has no axis: take the upward direction across the view.
  upward = np.array([0, -1, 0], np.float32) + to_camera[:, 1:2] * to_camera
  ball = length < 1e-3
  axis[ball] = upward[ball]
  axis = _unit(axis)
  side = _unit(np.cross(axis, to_camera))
  normal = np.cross(side, axis)

  leafy = world.material[world.num_faces + shown] == Material.LEAF
  variant = np.where(leafy, 1 + shown % 16, 0)
  half = corners // 2
  angle = np.pi * (np.arange(half) / (half - 1) - 0.5)
  angle = np.concatenate([angle, angle + np.pi]).astype(np.float32)
  radius = np.repeat(radii[:, ::-1], half, axis=1)
  radius *= _RAGGED[variant, :corners]
  outline = np.repeat(ends[:, ::-1], half, axis=1)
  outline += (radius * np.cos(angle))[..., None] * axis[:, None]
  outline += (radius * np.sin(angle))[..., None] * side[:, None]
  # What is below the ground stays hidden.
  down = -camera.rotation()[:, 1].astype(np.float32)
  below = np.maximum(outline @ down - np.float32(camera.position[1]), 0)
  outline -= below[..., None] * down

  level = np.einsum('ij,ij->i', normal, start)
  level = np.where(np.abs(level) > 1e-6, level, 1e-6)
  planes = np.zeros((len(world.radii), 3), np.float32)
  planes[shown] = normal / level[:, None]
  rounds = np.ones((len(world.radii), 12), np.float32)
  rounds[shown] = np.concatenate(
    [start, axis, normal, length[:, None], radii], axis=1
  )
  return outline, shown, rounds, planes


def _unit(vectors: np.ndarray) -> np.ndarray:
  """Scales vectors [n 3] to length 1."""
  size = np.sqrt(np.einsum('ij,ij->i', vectors, vectors))
  return vectors / np.maximum(size, 1e-6)[:, None]


def _rounds_in_sight(
  ends: np.ndarray, radii: np.ndarray, scale: float, widest: float
) -> np.ndarray:
  """Returns the numbers of the capsules that may be seen."""
  nearest = ends[..., 2].min(axis=1)
  reach = radii.max(axis=1) * 1.15
  beside = np.abs(ends[..., 0]) - reach[:, None] * 1.5
  size = np.abs(ends[:, 0, :2] - ends[:, 1, :2]).max(axis=1) + 2 * reach
  seen = (nearest - reach > NEAR) & (size * scale > SMALLEST * nearest)
  seen &= (beside < (widest * 1.02) * ends[..., 2]).any(axis=1)
  return np.flatnonzero(seen)


def round_shape(
  shape: np.ndarray,
  depth: np.ndarray,
  slope_x: np.ndarray,
  slope_y: np.ndarray,
) -> tuple[np.ndarray, list[np.ndarray]]:
  """Bulges capsules: corrects their depth and gives their normals.

  Args:
    shape: float32 [12 n], the capsule of each sample, see `outlines`.
    depth: float32 [n], of the flat outlines.
    slope_x, slope_y: float32 [n], ray slopes.

  Returns:
    float32 [n] depth, and the three components of unit normals in camera
    coordinates, float32 [n] each.
  """
  ray = (slope_x, slope_y, 1)
  radial, distance, radius = _from_axis(shape, ray, depth)
  # Off the outline of a ball only leaves are seen: they keep the flat depth.
  inside = 1 - (distance / radius) ** 2
  bulge = np.sqrt(np.maximum(inside, 0))
  bulged = depth + shape[8] * bulge * radius
  for _ in range(_NEWTON_STEPS):
    radial, distance, radius = _from_axis(shape, ray, bulged)
    # The distance to the surface changes along the ray by normal . ray.
    change = sum(r * d for r, d in zip(radial, ray)) / distance
    step = (distance - radius) / np.minimum(change, -0.2)
    bulged -= np.where(inside > 0, step, 0)
  inverse = 1 / np.maximum(distance, radius)
  normal = [r * inverse for r in radial]
  outside = inside <= 0
  return np.maximum(np.where(outside, depth, bulged), NEAR), normal


def _from_axis(shape, ray, depth):
  """Returns where points on rays lie as seen from the axes of capsules.

  Returns:
    The vector from the nearest point of the axis (three arrays), its length,
    and the capsule's radius there.
  """
  start, axis, length = shape[0:3], shape[3:6], shape[9]
  offset = [r * depth - s for r, s in zip(ray, start)]
  along = sum(o * a for o, a in zip(offset, axis))
  along = np.minimum(np.maximum(along, 0), length)
  radius = shape[10] + (shape[11] - shape[10]) * (
    along / np.maximum(length, 1e-3)
  )
  radial = [o - along * a for o, a in zip(offset, axis)]
  distance = np.sqrt(sum(r * r for r in radial))
  return radial, np.maximum(distance, 1e-6), radius
