"""Shapes of buildings and the table that describes their facades.

A facade is drawn by its material from a row of numbers (`Facade`): windows,
doors and shops need no faces of their own.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np

from street_scenes.geometry.mesh import Material, Mesh, MeshMaker
from street_scenes.types import Color


@dataclasses.dataclass(frozen=True)
class Facade:
  """How a facade looks. Metres, colours 0..1.

  Attributes:
    height: of the facade.
    ground: height of the ground floor.
    floor: height of the other floors.
    pitch: distance of the windows.
    window_width, window_height: shares of pitch and floor.
    shop: 1 = shop windows in the ground floor, 0 = windows and doors.
    brick: contrast of the brick pattern, 0 = plaster.
    band: lightening of the bands between the floors.
    shutters: 1 = shutters beside the windows.
    balcony: 1 = balconies.
    number: any number; decides about curtains, lights and doors.
    frame: colour of window frames.
    accent: colour of doors, shutters and signs.
  """

  height: float
  ground: float = 3.4
  floor: float = 3.0
  pitch: float = 2.4
  window_width: float = 0.5
  window_height: float = 0.55
  shop: float = 0.0
  brick: float = 0.0
  band: float = 0.1
  shutters: float = 0.0
  balcony: float = 0.0
  number: float = 0.0
  frame: Color = (0.9, 0.9, 0.88)
  accent: Color = (0.4, 0.25, 0.2)

  def row(self) -> tuple[float, ...]:
    """Returns the numbers in the order of the attributes."""
    return (
      self.height,
      self.ground,
      self.floor,
      self.pitch,
      self.window_width,
      self.window_height,
      self.shop,
      self.brick,
      self.band,
      self.shutters,
      self.balcony,
      self.number,
      *self.frame,
      *self.accent,
    )


# Rows of the table.
COLUMNS = {
  name: i
  for i, name in enumerate(
    (
      'height',
      'ground',
      'floor',
      'pitch',
      'window_width',
      'window_height',
      'shop',
      'brick',
      'band',
      'shutters',
      'balcony',
      'number',
    )
  )
}
FRAME = slice(12, 15)
ACCENT = slice(15, 18)


def facade_table(facades: list[Facade]) -> np.ndarray:
  """Returns float32 [18 n], one column per facade."""
  rows = np.array([f.row() for f in facades], np.float32).reshape(-1, 18)
  return np.ascontiguousarray(rows.T)


@functools.cache
def facade_piece() -> Mesh:
  """Returns a facade from z = 0 to 1, y = 0 to 1, facing -x. Slot 0."""
  maker = MeshMaker()
  maker.use(0, Material.FACADE)
  maker.polygon(
    [(0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (0.0, 1.0, 0.0)],
    (-1.0, 0.0, 0.0),
  )
  return maker.build()


@functools.cache
def roof_piece() -> Mesh:
  """Returns a roof slope: z = 0 to 1, rising to x = 1, y = 1. Slot 0."""
  maker = MeshMaker()
  maker.use(0, Material.ROOF)
  maker.polygon(
    [
      (-0.06, -0.06, 0.0),
      (-0.06, -0.06, 1.0),
      (1.0, 1.0, 1.0),
      (1.0, 1.0, 0.0),
    ],
    (-1.0, 1.0, 0.0),
  )
  return maker.build()


@functools.cache
def gable() -> Mesh:
  """Returns the triangle below a roof: x = 0 to 2, y = 0 to 1, facing -z."""
  maker = MeshMaker()
  maker.use(0, Material.PLAIN)
  maker.polygon(
    [(0.0, 0.0, 0.0), (2.0, 0.0, 0.0), (1.0, 1.0, 0.0)], (0.0, 0.0, -1.0)
  )
  return maker.build()


@functools.cache
def block() -> Mesh:
  """Returns a box: x = 0 to 1, y = 0 to 1, z = 0 to 1. Slot 0, plain."""
  maker = MeshMaker()
  maker.use(0)
  maker.box((0.0, 1.0), (0.0, 1.0), (0.0, 1.0))
  return maker.build()


@functools.cache
def dormer() -> Mesh:
  """Returns a roof window of 1.4 m, facing -x. Slots: 0 wall, 1 glass."""
  maker = MeshMaker()
  maker.use(0)
  maker.box((0.0, 1.6), (0.0, 1.3), (-0.7, 0.7))
  maker.use(1, Material.GLASS, 1)
  maker.side(-0.01, (0.25, 1.1), (-0.5, 0.5), -1.0)
  return maker.build()
