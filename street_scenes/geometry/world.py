"""Objects placed in the world, packed into arrays for the renderer."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

import numpy as np

from street_scenes.geometry.mesh import Mesh
from street_scenes.types import Color, Number, Point


@dataclasses.dataclass(frozen=True)
class World:
  """All faces and capsules of a scene, in world coordinates.

  Primitives are numbered faces first (0 .. f - 1), capsules next.

  Attributes:
    vertices: float32 [v, 3], corners of the faces.
    starts: int64 [f + 1]; face i has the corners starts[i] .. starts[i+1] - 1.
    two_sided: bool [f].
    ends: float32 [k, 2, 3], ends of the capsules.
    radii: float32 [k, 2].
    material: int32 [p], a `Material`.
    label: uint8 [p], trainId or 255.
    layer: int32 [p], paint order within a group.
    color: float32 [p, 3], 0..1.
    instance: int32 [p], object that the primitive belongs to.
    origin: float32 [i, 3], position of each object.
    turn: float32 [i, 2], cosine and sine of its yaw.
    shift: Number32 [i], offset of its texture along the object's z axis.
    style: int32 [i], row of the scene's facade table.
    group: int32 [i]; objects of one group are painted together.
    group_place: float32 [g, 2], world (x, z) that decides when.
    shadows: float32 [s, 6] boxes that cast a shadow on the ground: x, z, yaw,
      half width, half length, height.
    lights: float32 [l, 7], x, y, z, red, green, blue, power; shine at night.
  """

  vertices: np.ndarray
  starts: np.ndarray
  two_sided: np.ndarray
  ends: np.ndarray
  radii: np.ndarray
  material: np.ndarray
  label: np.ndarray
  layer: np.ndarray
  color: np.ndarray
  instance: np.ndarray
  origin: np.ndarray
  turn: np.ndarray
  shift: np.ndarray
  style: np.ndarray
  group: np.ndarray
  group_place: np.ndarray
  shadows: np.ndarray
  lights: np.ndarray

  @property
  def num_faces(self) -> int:
    """Number of flat faces."""
    return len(self.two_sided)


class WorldBuilder:
  """Collects objects; `build` transforms all of them at once."""

  def __init__(self):
    self._meshes: list[Mesh] = []
    self._poses: list[tuple[float, ...]] = []
    self._kinds: list[tuple[int, int, int, int, int]] = []
    self._colors: list[Color] = []
    self._groups: list[tuple[float, float]] = []
    self._shadows: list[tuple[float, ...]] = []
    self._lights: list[tuple[float, ...]] = []

  def group(self, x: Number, z: Number) -> int:
    """Starts a group of objects that are painted together."""
    self._groups.append((x, z))
    return len(self._groups) - 1

  def add(
    self,
    mesh: Mesh,
    label: int,
    position: Point,
    colors: Sequence[Color],
    *,
    yaw: Number = 0.0,
    scale: Point = (1.0, 1.0, 1.0),
    group: int | None = None,
    layer: int = 0,
    shift: Number = 0.0,
    style: int = 0,
  ) -> None:
    """Places one object.

    Args:
      mesh: its shape.
      label: trainId or 255.
      position: world (x, y, z) of the shape's origin.
      colors: one colour per slot of the shape, 0..1.
      yaw: radians; 0 keeps the shape's z along the street, positive turns it
        to the right.
      scale: factors on the shape's x, y, z. A capsule's radius takes the
        smaller one of x and z.
      group: of `group`; by default a new one at the position.
      layer: added to the layers of the shape.
      shift: offset of the texture along the shape's z, metres.
      style: row of the scene's facade table.
    """
    if group is None:
      group = self.group(position[0], position[2])
    self._meshes.append(mesh)
    self._poses.append((*position, math.cos(yaw), math.sin(yaw), *scale, shift))
    self._kinds.append((label, group, layer, style, len(self._colors)))
    self._colors.extend(colors)

  def shadow(
    self,
    position: Point,
    yaw: Number,
    half_width: Number,
    half_length: Number,
    height: Number,
  ) -> None:
    """Lets a box of this size cast a shadow."""
    self._shadows.append(
      (position[0], position[2], yaw, half_width, half_length, height)
    )

  def light(self, position: Point, color: Color, power: Number) -> None:
    """Adds a light that shines at night."""
    self._lights.append((*position, *color, power))

  def build(self) -> World:
    """Returns the packed world."""
    poses = np.array(self._poses, np.float32)
    kinds = np.array(self._kinds, np.int32)
    meshes = self._meshes
    counts = np.concatenate([m.counts for m in meshes])
    faces_of = np.repeat(
      np.arange(len(meshes)), [len(m.counts) for m in meshes]
    )
    rounds_of = np.repeat(
      np.arange(len(meshes)), [len(m.rounds) for m in meshes]
    )
    corners_of = np.repeat(
      np.arange(len(meshes)), [len(m.vertices) for m in meshes]
    )
    faces = np.concatenate([m.faces for m in meshes])
    rounds = np.concatenate([m.rounds for m in meshes])
    capsules = np.concatenate([m.capsules for m in meshes])
    instance = np.concatenate([faces_of, rounds_of])
    slots = np.concatenate([faces[:, 0], rounds[:, 0]])
    thickness = np.minimum(poses[:, 5], poses[:, 7])[rounds_of, None]
    return World(
      vertices=_place(
        np.concatenate([m.vertices for m in meshes]), poses, corners_of
      ),
      starts=np.concatenate([[0], np.cumsum(counts)]),
      two_sided=faces[:, 3] == 1,
      ends=np.stack(
        [
          _place(capsules[:, 0:3], poses, rounds_of),
          _place(capsules[:, 3:6], poses, rounds_of),
        ],
        axis=1,
      ),
      radii=capsules[:, 6:8] * thickness,
      material=np.concatenate([faces[:, 1], rounds[:, 1]]),
      label=kinds[instance, 0].astype(np.uint8),
      layer=np.concatenate([faces[:, 2], rounds[:, 2]]) + kinds[instance, 2],
      color=np.array(self._colors, np.float32)[kinds[instance, 4] + slots],
      instance=instance.astype(np.int32),
      origin=poses[:, 0:3],
      turn=poses[:, 3:5],
      shift=poses[:, 8],
      style=kinds[:, 3],
      group=kinds[:, 1],
      group_place=np.array(self._groups, np.float32),
      shadows=np.array(self._shadows, np.float32).reshape(-1, 6),
      lights=np.array(self._lights, np.float32).reshape(-1, 7),
    )


def _place(
  points: np.ndarray, poses: np.ndarray, owner: np.ndarray
) -> np.ndarray:
  """Scales, turns and moves object points [n, 3] into the world."""
  pose = poses[owner]
  local = points * pose[:, 5:8]
  cos, sin = pose[:, 3], pose[:, 4]
  return np.stack(
    [
      cos * local[:, 0] + sin * local[:, 2] + pose[:, 0],
      local[:, 1] + pose[:, 1],
      cos * local[:, 2] - sin * local[:, 0] + pose[:, 2],
    ],
    axis=1,
  )
