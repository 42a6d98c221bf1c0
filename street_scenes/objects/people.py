"""Shapes of people, riders, bicycles and motorcycles.

Slots of people: 0 jacket, 1 trousers, 2 skin, 3 hair or helmet, 4 bag, 5 shoes.
Slots of two-wheelers: 0 paint, 1 tyres and dark parts, 2 metal, 3 rear light,
4 front light. The front looks along +z.
"""

from __future__ import annotations

import functools
import math

from street_scenes.geometry.mesh import (
  Material,
  Mesh,
  MeshMaker,
)
from street_scenes.types import Number, Point

JACKET, TROUSERS, SKIN, HAIR, BAG, SHOES = range(6)
PAINT, DARK, METAL, REAR, HEAD = range(5)

# Walking phases and figures that exist as shapes.
PHASES = 6
FIGURES = ('plain', 'skirt', 'bag', 'backpack', 'coat')


def _limb(
  maker: MeshMaker,
  joints: tuple[Point, Point, Point],
  radii: Point,
) -> None:
  """Adds an upper and a lower part, as of an arm or a leg."""
  maker.capsule(joints[0], joints[1], radii[0], radii[1])
  maker.capsule(joints[1], joints[2], radii[1], radii[2])


def _head(maker: MeshMaker, y: Number, z: Number, hair_size: Number) -> None:
  maker.use(SKIN, Material.CLOTH)
  maker.capsule((0, y - 0.2, z), (0, y - 0.1, z), 0.055, 0.055)
  maker.capsule((0, y - 0.05, z + 0.01), (0, y + 0.03, z + 0.01), 0.085, 0.1)
  maker.use(HAIR, Material.CLOTH)
  maker.ball((0, y + 0.06, z - 0.025), hair_size)


@functools.cache
def walker(phase: int, figure: str, far: bool) -> Mesh:
  """Returns a walking person of 1.75 m.

  Args:
    phase: 0 .. PHASES - 1, position within a step.
    figure: one of `FIGURES`.
    far: leave out what cannot be seen from afar.
  """
  if far:
    return _far_walker(phase)
  swing = 0.42 * math.sin(2 * math.pi * phase / PHASES + 0.4)
  maker = MeshMaker()
  for side, angle in ((-1.0, swing), (1.0, -swing)):
    x = side * 0.1
    knee = (x, 0.48, 0.43 * math.sin(angle) + 0.02)
    back = max(-math.sin(angle), 0.0)
    foot = (x, 0.07 + 0.12 * back, knee[2] + 0.4 * math.sin(angle) - 0.1 * back)
    maker.use(TROUSERS, Material.CLOTH)
    _limb(maker, ((x * 0.9, 0.9, 0.0), knee, foot), (0.1, 0.07, 0.05))
    maker.use(SHOES)
    maker.capsule(foot, (x, foot[1] - 0.02, foot[2] + 0.15), 0.055, 0.045)
    maker.use(JACKET, Material.CLOTH)
    elbow = (side * 0.26, 1.13, -0.22 * math.sin(angle))
    hand = (side * 0.25, 0.9, -0.42 * math.sin(angle) + 0.1)
    _limb(maker, ((side * 0.2, 1.4, 0.0), elbow, hand), (0.07, 0.055, 0.045))
    maker.use(SKIN, Material.CLOTH)
    maker.ball((hand[0], hand[1] - 0.04, hand[2]), 0.05)
  maker.use(JACKET, Material.CLOTH)
  for x in (-0.085, 0.085):
    maker.capsule((x * 0.8, 0.93, 0.0), (x * 1.25, 1.35, 0.0), 0.115, 0.115)
  if figure == 'skirt':
    maker.use(TROUSERS, Material.CLOTH)
    maker.capsule((0, 0.98, 0), (0, 0.62, 0), 0.15, 0.24)
  elif figure == 'coat':
    maker.capsule((0, 1.0, 0), (0, 0.65, 0), 0.18, 0.22)
  elif figure == 'bag':
    maker.use(BAG, Material.CLOTH)
    maker.box((0.24, 0.36), (0.55, 0.85), (-0.18, 0.18), True)
  elif figure == 'backpack':
    maker.use(BAG, Material.CLOTH)
    maker.capsule((0, 1.05, -0.2), (0, 1.35, -0.2), 0.16, 0.14)
  _head(maker, 1.62, 0.02, 0.105)
  return maker.build()


def _far_walker(phase: int) -> Mesh:
  """Returns a walking person of few parts."""
  swing = 0.38 * math.sin(2 * math.pi * phase / PHASES + 0.4)
  maker = MeshMaker()
  maker.use(TROUSERS, Material.CLOTH)
  for side in (-1.0, 1.0):
    maker.capsule(
      (side * 0.09, 0.9, 0), (side * 0.1, 0.06, side * swing), 0.11, 0.06
    )
  maker.use(JACKET, Material.CLOTH)
  maker.capsule((0, 0.98, 0), (0, 1.34, 0), 0.2, 0.21)
  for side in (-1.0, 1.0):
    maker.capsule(
      (side * 0.24, 1.38, 0), (side * 0.26, 0.88, -side * swing), 0.07, 0.05
    )
  maker.use(HAIR, Material.CLOTH)
  maker.ball((0, 1.65, -0.02), 0.115)
  maker.use(SKIN, Material.CLOTH)
  maker.ball((0, 1.62, 0.015), 0.1)
  return maker.build()


@functools.cache
def rider(vehicle: str, phase: int) -> Mesh:
  """Returns a person who sits on a 'bicycle' or a 'motorcycle'."""
  maker = MeshMaker()
  seat = (0.0, 0.98, -0.22) if vehicle == 'bicycle' else (0.0, 0.85, -0.25)
  lean = 0.22 if vehicle == 'bicycle' else 0.12
  turn = 2 * math.pi * phase / PHASES
  for side in (-1.0, 1.0):
    if vehicle == 'bicycle':
      angle = turn if side > 0 else turn + math.pi
      foot = (
        side * 0.13,
        0.32 + 0.17 * math.cos(angle),
        0.08 + 0.17 * math.sin(angle),
      )
      knee = (side * 0.13, (foot[1] + seat[1]) / 2 + 0.08, 0.24)
    else:
      foot = (side * 0.24, 0.32, 0.0)
      knee = (side * 0.25, 0.72, 0.22)
    maker.use(TROUSERS, Material.CLOTH)
    _limb(
      maker,
      ((side * 0.1, seat[1], seat[2]), knee, foot),
      (0.1, 0.075, 0.055),
    )
    maker.use(SHOES)
    maker.capsule(foot, (foot[0], foot[1] - 0.03, foot[2] + 0.14), 0.05, 0.04)
    maker.use(JACKET, Material.CLOTH)
    shoulder = (side * 0.2, seat[1] + 0.46, seat[2] + lean)
    elbow = (side * 0.3, seat[1] + 0.25, seat[2] + lean + 0.16)
    hand = (side * 0.27, seat[1] + 0.14, seat[2] + lean + 0.42)
    _limb(maker, (shoulder, elbow, hand), (0.07, 0.06, 0.05))
  maker.use(JACKET, Material.CLOTH)
  for x in (-0.085, 0.085):
    maker.capsule(
      (x * 0.8, seat[1], seat[2]),
      (x * 1.25, seat[1] + 0.42, seat[2] + lean * 0.9),
      0.12,
      0.12,
    )
  size = 0.12 if vehicle == 'bicycle' else 0.15
  _head(maker, seat[1] + 0.7, seat[2] + lean + 0.06, size)
  return maker.build()


def _wheel(maker: MeshMaker, z: Number, radius: Number, tyre: Number) -> None:
  """Adds a wheel that also shows from the front and the rear."""
  maker.capsule((0.0, tyre, z), (0.0, 2 * radius - tyre, z), tyre, tyre)


@functools.cache
def bicycle() -> Mesh:
  """Returns a bicycle of 1.75 m."""
  maker = MeshMaker()
  for z in (-0.52, 0.55):
    maker.use(DARK, Material.SPOKES, 0)
    maker.disc((0.0, 0.34, z), 0.34, 'x', None, 16)
    maker.use(DARK, layer=0)
    _wheel(maker, z, 0.34, 0.025)
  maker.use(PAINT, Material.PLAIN, 1)
  crank, seat, head = (0, 0.3, -0.06), (0, 0.78, -0.2), (0, 0.82, 0.35)
  for start, end in (
    (crank, seat),
    (crank, head),
    (seat, head),
    (crank, (0, 0.34, -0.52)),
    (seat, (0, 0.34, -0.52)),
    (head, (0, 0.34, 0.55)),
  ):
    maker.capsule(start, end, 0.03, 0.03)
  maker.use(DARK, layer=2)
  maker.capsule((0, 0.93, -0.32), (0, 0.93, -0.12), 0.06, 0.04)
  maker.capsule(seat, (0, 0.92, -0.22), 0.02, 0.02)
  maker.capsule(head, (0, 1.02, 0.32), 0.02, 0.02)
  maker.capsule((-0.28, 1.04, 0.26), (0.28, 1.04, 0.26), 0.025, 0.025)
  maker.use(REAR, Material.LAMP, 2)
  maker.ball((0, 0.7, -0.42), 0.04)
  maker.use(HEAD, Material.LAMP, 2)
  maker.ball((0, 0.9, 0.45), 0.045)
  return maker.build()


@functools.cache
def motorcycle() -> Mesh:
  """Returns a motorcycle of 2.1 m."""
  maker = MeshMaker()
  for z in (-0.72, 0.75):
    maker.use(DARK, layer=0)
    maker.disc((0.0, 0.32, z), 0.32, 'x', None, 14)
    _wheel(maker, z, 0.32, 0.075)
    maker.use(METAL, layer=1)
    maker.disc((0.0, 0.32, z), 0.13, 'x', None, 10)
  maker.use(METAL, layer=1)
  maker.capsule((0, 0.42, -0.15), (0, 0.45, 0.2), 0.2, 0.2)
  for x in (-0.12, 0.12):
    maker.capsule((x, 0.32, 0.75), (x, 0.95, 0.45), 0.04, 0.04)
  maker.capsule((0.18, 0.35, -0.1), (0.18, 0.42, -0.85), 0.06, 0.07)
  maker.use(PAINT, Material.PAINT, 2)
  maker.capsule((0, 0.78, -0.05), (0, 0.86, 0.32), 0.17, 0.17)
  maker.capsule((0, 0.72, -0.45), (0, 0.84, -0.85), 0.14, 0.09)
  maker.capsule((0, 0.66, 0.68), (0, 0.62, 0.95), 0.09, 0.07)
  maker.use(DARK, layer=3)
  maker.capsule((0, 0.83, -0.6), (0, 0.83, -0.15), 0.13, 0.11)
  maker.capsule((-0.35, 1.0, 0.36), (0.35, 1.0, 0.36), 0.035, 0.035)
  for x in (-0.32, 0.32):
    maker.ball((x, 1.15, 0.42), 0.07)
  maker.use(REAR, Material.LAMP, 4)
  maker.ball((0, 0.82, -0.97), 0.07)
  maker.use(HEAD, Material.LAMP, 4)
  maker.ball((0, 0.9, 0.6), 0.12)
  return maker.build()
