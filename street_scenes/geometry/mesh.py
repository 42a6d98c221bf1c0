"""Shapes of objects: flat faces and capsules, with slots for colours.

Object coordinates are metres: x right, y up from the ground, z forward, the
origin on the ground below the middle of the object.

A face is a convex flat polygon. A capsule is the round hull of two balls (limb,
trunk, pole; one ball if the ends coincide): it is drawn as its outline, as
seen by the camera, and shaded round.

Objects are painted from far to near. Within an object, faces that look away
from the camera are left out and the others are painted in the order of their
layer, far to near within a layer. That is right for convex parts and for
details painted onto them.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Sequence

import numpy as np

from street_scenes.types import Number, Point, Span


class Material(enum.IntEnum):
  """How the surface is textured; see `textures.py`."""

  PLAIN = 0
  PAINT = 1  # polished: catches the sky
  GLASS = 2
  FACADE = 3
  WALL = 4
  ROOF = 5
  LEAF = 6
  CLOTH = 7
  GRASS = 8
  LAMP = 9  # shines by itself
  BOARDS = 10
  PICKETS = 11  # see-through, from here on
  MESH = 12
  SPOKES = 13


SEE_THROUGH = Material.PICKETS


@dataclasses.dataclass(frozen=True)
class Mesh:
  """One shape, shared by all objects that have it.

  Attributes:
    vertices: float32 [v, 3], the corners of all faces, one face after another.
    counts: int32 [f], corners of each face.
    faces: int32 [f, 4]: colour slot, material, layer, 1 if seen from both
      sides.
    capsules: float32 [k, 8]: first end, second end, radius at each.
    rounds: int32 [k, 3]: colour slot, material, layer.
  """

  vertices: np.ndarray
  counts: np.ndarray
  faces: np.ndarray
  capsules: np.ndarray
  rounds: np.ndarray


class MeshMaker:
  """Collects the parts of a shape.

  `slot`, `material` and `layer` of the parts are remembered from call to call:
  set them with `use`.
  """

  def __init__(self):
    self._vertices: list[np.ndarray] = []
    self._faces: list[tuple[int, int, int, int]] = []
    self._capsules: list[tuple[float, ...]] = []
    self._rounds: list[tuple[int, int, int]] = []
    self._style = (0, int(Material.PLAIN), 0)

  def use(
    self, slot: int, material: Material = Material.PLAIN, layer: int = 0
  ) -> MeshMaker:
    """Sets the colour slot, material and layer of the parts that follow."""
    self._style = (slot, int(material), layer)
    return self

  def polygon(
    self,
    points: Sequence[Point],
    outward: Point | None = None,
  ) -> None:
    """Adds one face.

    Args:
      points: convex and flat, in order; the first three not on one line.
      outward: a direction on the side from which the face is seen; None if it
        is seen from both.
    """
    corners = np.array(points, np.float32)
    if outward is not None:
      normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
      if normal @ np.asarray(outward) < 0:
        corners = corners[::-1]
    self._vertices.append(corners)
    self._faces.append((*self._style, int(outward is None)))

  def hull(
    self,
    profile: Sequence[Span],
    half_width: Number,
    top_half_width: Number | None = None,
    skip: Sequence[int] = (),
  ) -> None:
    """Adds a body with this side view and the faces that join both sides.

    Args:
      profile: (z, y) corners of the convex side view, in order.
      half_width: half the width at the lowest point of the profile.
      top_half_width: the same at the highest point; `half_width` by default.
      skip: indices i of the joining faces (from corner i to i + 1) to leave
        out.
    """
    heights = [y for _, y in profile]
    low, high = min(heights), max(heights)
    if top_half_width is None:
      top_half_width = half_width

    def half(y: float) -> float:
      part = (y - low) / (high - low)
      return half_width + (top_half_width - half_width) * part

    middle_z = sum(z for z, _ in profile) / len(profile)
    middle_y = sum(heights) / len(profile)
    for side in (-1.0, 1.0):
      self.polygon(
        [(side * half(y), y, z) for z, y in profile], (side, 0.0, 0.0)
      )
    for i, (z0, y0) in enumerate(profile):
      if i in skip:
        continue
      z1, y1 = profile[(i + 1) % len(profile)]
      out = (0.0, (y0 + y1) / 2 - middle_y, (z0 + z1) / 2 - middle_z)
      self.polygon(
        [
          (-half(y0), y0, z0),
          (half(y0), y0, z0),
          (half(y1), y1, z1),
          (-half(y1), y1, z1),
        ],
        out,
      )

  def box(
    self,
    x: Span,
    y: Span,
    z: Span,
    bottom: bool = False,
  ) -> None:
    """Adds a box; without its lower face unless `bottom`."""
    (x0, x1), (y0, y1), (z0, z1) = x, y, z
    for at, out in ((z0, -1.0), (z1, 1.0)):
      self.polygon(
        [(x0, y0, at), (x1, y0, at), (x1, y1, at), (x0, y1, at)],
        (0.0, 0.0, out),
      )
    for at, out in ((x0, -1.0), (x1, 1.0)):
      self.polygon(
        [(at, y0, z0), (at, y0, z1), (at, y1, z1), (at, y1, z0)],
        (out, 0.0, 0.0),
      )
    for at, out in ((y1, 1.0), (y0, -1.0))[: 2 if bottom else 1]:
      self.polygon(
        [(x0, at, z0), (x1, at, z0), (x1, at, z1), (x0, at, z1)],
        (0.0, out, 0.0),
      )

  def front(
    self,
    x: Span,
    y: Span,
    z: Number,
    facing: Number,
  ) -> None:
    """Adds an upright rectangle across the street, seen from `facing` * z."""
    self.polygon(
      [(x[0], y[0], z), (x[1], y[0], z), (x[1], y[1], z), (x[0], y[1], z)],
      (0.0, 0.0, facing),
    )

  def side(
    self,
    x: Number,
    y: Span,
    z: Span,
    facing: Number,
  ) -> None:
    """Adds an upright rectangle along the street, seen from `facing` * x."""
    self.polygon(
      [(x, y[0], z[0]), (x, y[0], z[1]), (x, y[1], z[1]), (x, y[1], z[0])],
      (facing, 0.0, 0.0),
    )

  def disc(
    self,
    center: Point,
    radius: Number,
    axis: str,
    outward: Number | None,
    corners: int = 12,
  ) -> None:
    """Adds a disc.

    Args:
      center: its centre.
      radius: metres.
      axis: 'x' or 'z', the direction it faces.
      outward: +1.0 or -1.0 on that axis; None if seen from both sides.
      corners: of the polygon.
    """
    points = []
    for i in range(corners):
      angle = 2 * math.pi * (i + 0.5) / corners
      a, b = radius * math.cos(angle), radius * math.sin(angle)
      x, y, z = center
      points.append((x, y + a, z + b) if axis == 'x' else (x + b, y + a, z))
    if outward is None:
      self.polygon(points)
    else:
      self.polygon(
        points,
        (outward, 0.0, 0.0) if axis == 'x' else (0.0, 0.0, outward),
      )

  def capsule(
    self, start: Point, end: Point, radius: Number, end_radius: Number
  ) -> None:
    """Adds the round hull of two balls."""
    self._capsules.append((*start, *end, radius, end_radius))
    self._rounds.append(self._style)

  def ball(self, center: Point, radius: Number) -> None:
    """Adds a ball."""
    self.capsule(center, center, radius, radius)

  def build(self) -> Mesh:
    """Returns the shape."""
    none = np.zeros((0, 3), np.float32)
    return Mesh(
      vertices=np.concatenate([none, *self._vertices]),
      counts=np.array([len(v) for v in self._vertices], np.int32),
      faces=np.array(self._faces, np.int32).reshape(-1, 4),
      capsules=np.array(self._capsules, np.float32).reshape(-1, 8),
      rounds=np.array(self._rounds, np.int32).reshape(-1, 3),
    )
