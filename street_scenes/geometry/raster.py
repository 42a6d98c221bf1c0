"""Which surface does each sample see, and at what depth.

Surfaces are painted from far to near into a buffer of surface numbers; depth
follows from the plane of each surface, so that it is exact whatever the number
of samples. Number 0 is the ground plane y = 0, 1 the sky, 2 the bonnet of the
camera's own car; primitive i of the world has number i + 3.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from street_scenes.geometry import capsules
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.polygons import (
  FIRST,
  NEAR,
  Polygons,
)
from street_scenes.geometry.world import World

GROUND = 0
SKY = 1
BONNET = 2

# Depth of the sky, metres. Nothing else is farther than FARTHEST.
SKY_DEPTH = 1000.0
FARTHEST = 999.0
# The plane of the bonnet lies this far below the camera, metres.
_BONNET_DROP = 0.5


@dataclasses.dataclass(frozen=True)
class Bonnet:
  """The part of the picture that the own car hides.

  Attributes:
    height: share of the picture's height that is hidden in the middle; 0 = the
      car is not in the picture.
    curve: share by which the edge has dropped at the sides of the picture.
  """

  height: float = 0.0
  curve: float = 0.1


@dataclasses.dataclass(frozen=True)
class Fragments:
  """What the samples of a picture see.

  Attributes:
    ids: int32 [h w], surface number.
    under: int32 [h w], the surface behind a see-through one; elsewhere of no
      meaning.
    slope_x, slope_y: float32 [w], [h], ray slopes of the columns and rows.
    planes: float32 [3 n], inverse depth = (slope_x, slope_y, 1) @ planes.
    limits: float32 [2 n], smallest and largest depth of each surface.
    rounds: float32 [12 k], geometry of the capsules, see `capsules.outlines`.
    first_round: surface number of the first capsule.
  """

  ids: np.ndarray
  under: np.ndarray
  slope_x: np.ndarray
  slope_y: np.ndarray
  planes: np.ndarray
  limits: np.ndarray
  rounds: np.ndarray
  first_round: int


def rasterize(
  world: World,
  camera: Camera,
  size: tuple[int, int],
  supersample: int,
  bonnet: Bonnet,
) -> Fragments:
  """Finds the surface that each sample sees.

  Args:
    world: the packed objects.
    camera: from where.
    size: (h, w) of the picture, pixels.
    supersample: samples per pixel and direction; sample `supersample * i` is
      the centre of pixel i.
    bonnet: part hidden by the own car.

  Returns:
    The fragments, `supersample` times the size in both directions.
  """
  slope_x, slope_y = camera.axes(size, supersample)
  corners = camera.to_camera(world.vertices)
  planes, facing = _face_planes(corners, world)
  scale = camera.focal_px(size) * supersample
  num_corners = 12 if min(size) > 100 else 10
  outlines, shown, rounds, round_planes = capsules.outlines(
    world, camera, scale, float(slope_x[-1]), num_corners
  )
  faces = np.flatnonzero(facing)
  counts = np.diff(world.starts)[faces]
  polygons = Polygons(
    points=np.concatenate(
      [
        corners[_ranges(world.starts[faces], counts)],
        outlines.reshape(-1, 3),
      ]
    ),
    starts=np.cumsum(
      np.concatenate([[0], counts, np.full(len(shown), num_corners)])
    ),
    primitive=np.concatenate([faces, world.num_faces + shown]),
    scale=scale,
    center=((size[1] - 1) / 2 * supersample, (size[0] - 1) / 2 * supersample),
  )
  ids = _background(camera, slope_x, slope_y)
  under = ids.copy()
  order = polygons.order(world, camera, ids.shape)
  polygons.paint(ids, under, order, world.material)
  _hide_by_bonnet(ids, bonnet)
  own = [_ground_plane(camera), (0, 0, 1 / SKY_DEPTH), (0, 1 / _BONNET_DROP, 0)]
  return Fragments(
    ids=ids,
    under=under,
    slope_x=slope_x,
    slope_y=slope_y,
    planes=_columns(np.concatenate([np.array(own), planes, round_planes])),
    limits=_columns(_limits(world, polygons)),
    rounds=_columns(rounds),
    first_round=FIRST + world.num_faces,
  )


def flat_depth(
  fragments: Fragments,
  ids: np.ndarray,
  slope_x: np.ndarray,
  slope_y: np.ndarray,
) -> np.ndarray:
  """Returns the depth of the planes of surfaces, before capsules bulge.

  Args:
    fragments: of `rasterize`.
    ids: int32, surface number of each sample.
    slope_x, slope_y: float32, ray slopes of each sample; broadcast to `ids`.

  Returns:
    float32 like `ids`, metres along the camera's z axis.
  """
  plane_x, plane_y, plane_1 = fragments.planes
  inverse = plane_x.take(ids)
  inverse *= slope_x
  inverse += plane_y.take(ids) * slope_y
  inverse += plane_1.take(ids)
  np.maximum(inverse, 1e-6, out=inverse)
  depth = np.reciprocal(inverse, out=inverse)
  np.maximum(depth, fragments.limits[0].take(ids), out=depth)
  return np.minimum(depth, fragments.limits[1].take(ids), out=depth)


def _limits(world: World, polygons: Polygons) -> np.ndarray:
  """Returns the smallest and largest depth of all surfaces, [n 2]."""
  limits = np.empty((FIRST + len(world.material), 2), np.float32)
  limits[:] = (NEAR, FARTHEST)
  limits[SKY] = SKY_DEPTH
  known = FIRST + polygons.primitive
  limits[known, 0] = np.maximum(polygons.near, NEAR)
  limits[known, 1] = np.clip(polygons.far, NEAR, FARTHEST)
  return limits


def _columns(rows: np.ndarray) -> np.ndarray:
  """Transposes, so that each property lies in one piece."""
  return np.ascontiguousarray(rows.T, np.float32)


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
  """Returns starts[0], starts[0] + 1, ... (counts[0] of them), starts[1] ..."""
  before = np.cumsum(counts) - counts
  return np.repeat(starts - before, counts) + np.arange(counts.sum())


def _ground_plane(camera: Camera) -> np.ndarray:
  """Inverse depth of the plane y = 0: down . ray / height."""
  return -camera.rotation()[:, 1] / camera.position[1]


def _background(
  camera: Camera, slope_x: np.ndarray, slope_y: np.ndarray
) -> np.ndarray:
  """Returns the numbers of ground and sky."""
  plane = _ground_plane(camera).astype(np.float32)
  inverse = plane[0] * slope_x + (plane[1] * slope_y + plane[2])[:, None]
  return np.where(inverse > 1 / FARTHEST, GROUND, SKY).astype(np.int32)


def _hide_by_bonnet(ids: np.ndarray, bonnet: Bonnet) -> None:
  """Draws the own car's bonnet at the lower edge."""
  if bonnet.height <= 0:
    return
  height, width = ids.shape
  across = np.linspace(-1, 1, width)
  edge = height * (1 - bonnet.height + bonnet.curve * across**2)
  first = int(edge.min())
  rows = np.arange(first, height)[:, None]
  # Never above the horizon, where its plane has no depth.
  ids[first:][(rows >= edge) & (rows > 0.6 * height)] = BONNET


def _face_planes(
  corners: np.ndarray, world: World
) -> tuple[np.ndarray, np.ndarray]:
  """Returns inverse-depth planes [f 3] and which faces face the camera [f]."""
  first = world.starts[:-1]
  base = corners[first]
  normal = np.cross(corners[first + 1] - base, corners[first + 2] - base)
  level = np.einsum('ij,ij->i', normal, base)
  # A face whose plane holds the camera is a line. World coordinates are
  # left-handed and camera coordinates right-handed: normals change their side.
  seen = np.abs(level) > 1e-6
  facing = seen & (world.two_sided | (level > 0))
  return normal / np.where(seen, level, 1)[:, None], facing
