"""Where the samples of a picture lie in the world, and which way they face."""

from __future__ import annotations

import dataclasses

import numpy as np

from street_scenes.geometry import capsules, raster
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.mesh import SEE_THROUGH, Material
from street_scenes.geometry.polygons import FIRST
from street_scenes.geometry.raster import Fragments
from street_scenes.layout.scene import Scene
from street_scenes.layout.street import ground_at
from street_scenes.render import textures


@dataclasses.dataclass(eq=False)
class Samples:
  """What the samples of a picture show, row by row. All arrays are [n].

  Attributes:
    shape: (rows, columns) of samples; n is their product.
    ids: int32, surface whose colour is seen.
    depth: float32, its depth, metres.
    x, y, z: float32, its place in the world.
    offset: float32, metres right of the street's middle.
    up: float32, 0..1, 1 = faces the sky.
    sunlit: float32, cosine to the sun, at least 0.
    footprint: float32, width of a sample, metres.
    ground: int32, the `Ground` where `ids` is the ground, elsewhere 0.
  """

  shape: tuple[int, int]
  ids: np.ndarray
  depth: np.ndarray
  x: np.ndarray
  y: np.ndarray
  z: np.ndarray
  offset: np.ndarray
  up: np.ndarray
  sunlit: np.ndarray
  footprint: np.ndarray
  ground: np.ndarray

  def replace(self, at: np.ndarray, other: Samples) -> None:
    """Puts other samples at these positions."""
    for field in dataclasses.fields(self):
      if field.name != 'shape':
        getattr(self, field.name)[at] = getattr(other, field.name)


class Locator:
  """Finds place and orientation of surfaces that a camera sees."""

  def __init__(
    self,
    scene: Scene,
    camera: Camera,
    fragments: Fragments,
    to_sun: tuple[float, float, float],
  ):
    """Prepares what does not depend on the sample.

    Args:
      scene: the scene.
      camera: the camera.
      fragments: of `raster.rasterize` for this camera.
      to_sun: unit vector in world coordinates.
    """
    self._scene = scene
    self._fragments = fragments
    self._rotation = camera.rotation().astype(np.float32)
    self._position = np.array(camera.position, np.float32)
    self._upward = self._rotation[:, 1]
    self._to_sun = self._rotation @ np.array(to_sun, np.float32)
    planes = fragments.planes
    size = np.sqrt(np.einsum('ij,ij->j', planes, planes))
    # A plane faces the camera with its negative gradient.
    facing = -planes / np.maximum(size, 1e-9)
    self._up = 0.5 + 0.5 * (self._upward @ facing)
    self._sunlit = self._to_sun @ facing
    self._step = float(fragments.slope_x[1] - fragments.slope_x[0])

  def all(self) -> Samples:
    """Returns what all samples of the picture show."""
    fragments = self._fragments
    shape = fragments.ids.shape
    slope_x = np.tile(fragments.slope_x, shape[0])
    slope_y = np.repeat(fragments.slope_y, shape[1])
    return self._find(fragments.ids.reshape(-1), slope_x, slope_y, shape)

  def some(self, ids: np.ndarray, at: np.ndarray) -> Samples:
    """Returns what the samples at flat positions `at` [n] show of `ids` [n]."""
    row, column = np.divmod(at, len(self._fragments.slope_x))
    return self._find(
      ids,
      self._fragments.slope_x[column],
      self._fragments.slope_y[row],
      (1, len(ids)),
    )

  def _find(self, ids, slope_x, slope_y, shape) -> Samples:
    fragments = self._fragments
    depth = raster.flat_depth(fragments, ids, slope_x, slope_y)
    up, sunlit = self._up.take(ids), self._sunlit.take(ids)
    at = np.flatnonzero(ids >= fragments.first_round)
    if at.size:
      shape_at = fragments.rounds.take(ids[at] - fragments.first_round, axis=1)
      depth[at], normal = capsules.round_shape(
        shape_at, depth[at], slope_x[at], slope_y[at]
      )
      up[at] = 0.5 + 0.5 * sum(n * u for n, u in zip(normal, self._upward))
      sunlit[at] = sum(n * u for n, u in zip(normal, self._to_sun))
    x, y, z = (
      (
        self._rotation[0, i] * slope_x
        + self._rotation[1, i] * slope_y
        + self._rotation[2, i]
      )
      * depth
      + self._position[i]
      for i in range(3)
    )
    offset = self._scene.street.offset(x, z)
    ground = np.zeros(len(ids), np.int32)
    at = np.flatnonzero(ids == raster.GROUND)
    ground[at] = ground_at(self._scene.street, offset[at], z[at])
    return Samples(
      shape=shape,
      ids=ids.copy(),
      depth=depth,
      x=x,
      y=y,
      z=z,
      offset=offset,
      up=up,
      sunlit=np.maximum(sunlit, 0, out=sunlit),
      footprint=depth * self._step,
      ground=ground,
    )


def materials(scene: Scene) -> np.ndarray:
  """Returns the `Material` of each surface number, -1 = not an object."""
  own = np.full(FIRST, -1, np.int32)
  return np.concatenate([own, scene.world.material])


def on_object(
  scene: Scene, s: Samples, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns metres along the object (with its shift) and above the ground."""
  world = scene.world
  owner = world.instance.take(s.ids[at] - FIRST)
  dx = s.x[at] - world.origin[:, 0].take(owner)
  dz = s.z[at] - world.origin[:, 2].take(owner)
  along = world.turn[:, 1].take(owner) * dx + world.turn[:, 0].take(owner) * dz
  along += world.shift.take(owner)
  return along, s.y[at]


def look_through_holes(
  scene: Scene, fragments: Fragments, locator: Locator, s: Samples
) -> None:
  """Replaces samples in the holes of fences and wheels by what is behind."""
  kinds = materials(scene).take(s.ids)
  at = np.flatnonzero(kinds >= SEE_THROUGH)
  if not at.size:
    return
  u, v = on_object(scene, s, at)
  kinds = kinds[at]
  # Wheels of a bicycle, see `people.bicycle`; bicycles are scaled by 1.08.
  up, along = v - 0.367, u - np.where(u > 0, 0.594, -0.562)
  is_open = np.where(
    kinds == Material.PICKETS,
    textures.pickets_open(u, v),
    np.where(
      kinds == Material.MESH,
      textures.mesh_open(u, v),
      textures.spokes_open(np.hypot(up, along) / 0.367, up, along),
    ),
  )
  # Far away holes are finer than samples: every other one looks through.
  fine = s.footprint[at] > 0.06
  is_open = np.where(fine, textures.grain(at / 3.0, v * 50) > 0.1, is_open)
  holes = at[is_open]
  behind = fragments.under.reshape(-1)[holes]
  s.replace(holes, locator.some(behind, holes))
