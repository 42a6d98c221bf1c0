"""Shapes of poles, lamps, signals, signs, walls, fences and small things.

Walls and fences are pieces along z, 1 m long and 1 m high, to be scaled.
"""

from __future__ import annotations

import functools
import math

from street_scenes.geometry.mesh import Material, Mesh, MeshMaker
from street_scenes.types import Number


@functools.cache
def pole(height: Number, radius: Number) -> Mesh:
  """Returns an upright pole. Slot 0: its colour."""
  maker = MeshMaker()
  maker.use(0)
  maker.capsule((0, 0, 0), (0, height, 0), radius * 1.15, radius * 0.85)
  return maker.build()


@functools.cache
def beam(reach: Number) -> Mesh:
  """Returns a horizontal pole from the origin to x = reach. Slot 0."""
  maker = MeshMaker()
  maker.use(0)
  maker.capsule((0, 0, 0), (reach, 0, 0), 0.07, 0.06)
  return maker.build()


@functools.cache
def lamp_post(kind: str) -> Mesh:
  """Returns the pole of a street lamp whose arm reaches to +x.

  Args:
    kind: 'arm' (8 m, arm of 1.8 m) or 'top' (4.5 m, lamp on top).
  """
  maker = MeshMaker()
  maker.use(0)
  if kind == 'arm':
    maker.capsule((0, 0, 0), (0, 7.4, 0), 0.11, 0.07)
    maker.capsule((0, 7.4, 0), (1.8, 7.9, 0), 0.06, 0.05)
  else:
    maker.capsule((0, 0, 0), (0, 4.2, 0), 0.08, 0.06)
    maker.capsule((0, 0, 0), (0, 0.6, 0), 0.13, 0.1)
  return maker.build()


@functools.cache
def lamp_head(kind: str) -> Mesh:
  """Returns the lamp of a `lamp_post`. Slots: 0 case, 1 light."""
  maker = MeshMaker()
  if kind == 'arm':
    maker.use(0)
    maker.capsule((1.6, 7.9, 0), (2.3, 8.0, 0), 0.12, 0.09)
    maker.use(1, Material.LAMP, 1)
    maker.capsule((1.75, 7.85, 0), (2.2, 7.9, 0), 0.09, 0.09)
  else:
    maker.use(1, Material.LAMP)
    maker.ball((0, 4.4, 0), 0.22)
    maker.use(0, layer=1)
    maker.capsule((0, 4.62, 0), (0, 4.65, 0), 0.2, 0.12)
  return maker.build()


# Where the lamp's light comes from, on the shape.
LAMP_POINT = {'arm': (2.0, 7.8), 'top': (0.0, 4.4)}


@functools.cache
def signal_box(lit: int) -> Mesh:
  """Returns a traffic light's box of 0.9 m, its middle at the origin.

  Slots: 0 case, 1 lit lamp, 2 dark lamp.

  Args:
    lit: index of the lit lamp from the top.
  """
  maker = MeshMaker()
  maker.use(0)
  maker.box((-0.19, 0.19), (-0.5, 0.5), (-0.14, 0.14), True)
  for i in range(3):
    y = 0.31 - 0.31 * i
    maker.use(
      1 if i == lit else 2, Material.LAMP if i == lit else Material.PLAIN, 1
    )
    maker.disc((0.0, y, -0.15), 0.12, 'z', -1.0, 10)
  return maker.build()


@functools.cache
def sign(kind: str) -> Mesh:
  """Returns a traffic sign's plate, its middle at the origin.

  Slots: 0 field, 1 border, 2 symbol. It faces -z.

  Args:
    kind: 'disc', 'triangle', 'give_way', 'square', 'diamond', 'stop' or
      'board'.
  """
  maker = MeshMaker()
  if kind == 'board':
    maker.use(1)
    maker.front((-1.1, 1.1), (-0.6, 0.6), 0.0, -1.0)
    maker.use(0, layer=1)
    maker.front((-1.04, 1.04), (-0.54, 0.54), -0.01, -1.0)
    maker.use(2, layer=2)
    for y in (-0.32, 0.06, 0.3):
      maker.front((-0.8, 0.3), (y, y + 0.12), -0.02, -1.0)
    return maker.build()
  corners, turn = {
    'disc': (14, 0.0),
    'triangle': (3, math.pi / 2),
    'give_way': (3, -math.pi / 2),
    'square': (4, math.pi / 4),
    'diamond': (4, 0.0),
    'stop': (8, math.pi / 8),
  }[kind]
  for slot, size, z in ((1, 0.42, 0.0), (0, 0.31, -0.01), (2, 0.13, -0.02)):
    maker.use(slot, layer=slot if slot == 2 else 1 - slot)
    maker.polygon(
      [
        (
          size * math.cos(turn + 2 * math.pi * i / corners),
          size * math.sin(turn + 2 * math.pi * i / corners),
          z,
        )
        for i in range(corners)
      ],
      (0.0, 0.0, -1.0),
    )
  return maker.build()


@functools.cache
def wall_piece() -> Mesh:
  """Returns a wall from z = 0 to 1, x = 0 to 0.3. Slots: 0 wall, 1 coping."""
  maker = MeshMaker()
  maker.use(0, Material.WALL)
  maker.box((0.0, 0.3), (0.0, 0.95), (0.0, 1.0))
  maker.use(1, Material.PLAIN, 1)
  maker.box((-0.04, 0.34), (0.95, 1.0), (0.0, 1.0))
  return maker.build()


@functools.cache
def fence_piece(kind: str) -> Mesh:
  """Returns a fence from z = 0 to 1. Slots: 0 panel, 1 rails.

  Args:
    kind: 'pickets', 'mesh' or 'boards' (closed).
  """
  material = {
    'pickets': Material.PICKETS,
    'mesh': Material.MESH,
    'boards': Material.BOARDS,
  }[kind]
  maker = MeshMaker()
  maker.use(0, material)
  maker.polygon(
    [(0.0, 0.02, 0.0), (0.0, 0.02, 1.0), (0.0, 1.0, 1.0), (0.0, 1.0, 0.0)]
  )
  maker.use(1, layer=1)
  heights = (0.2, 0.85) if kind != 'mesh' else (0.97,)
  for y in heights:
    maker.polygon(
      [(0.0, y, 0.0), (0.0, y, 1.0), (0.0, y + 0.05, 1.0), (0.0, y + 0.05, 0)]
    )
  maker.polygon(
    [(0.0, 0.0, 0.0), (0.0, 0.0, 0.025), (0.0, 1.03, 0.025), (0, 1.03, 0)]
  )
  return maker.build()


@functools.cache
def bank_piece() -> Mesh:
  """Returns a grassy slope: 1 m along z, 1 m to +x, 1 m high. Slot 0."""
  maker = MeshMaker()
  maker.use(0, Material.GRASS)
  maker.polygon(
    [(0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (1.0, 1.0, 0.0)]
  )
  return maker.build()


@functools.cache
def bin_mesh() -> Mesh:
  """Returns a rubbish bin of 1.1 m. Slots: 0 body, 1 lid."""
  maker = MeshMaker()
  maker.use(0)
  maker.box((-0.3, 0.3), (0.08, 0.95), (-0.33, 0.33))
  maker.use(1, layer=1)
  maker.box((-0.33, 0.33), (0.95, 1.07), (-0.36, 0.36))
  return maker.build()


@functools.cache
def bench() -> Mesh:
  """Returns a bench of 1.7 m along z. Slots: 0 wood, 1 feet."""
  maker = MeshMaker()
  maker.use(1)
  for z in (-0.7, 0.65):
    maker.box((-0.2, 0.2), (0.0, 0.42), (z, z + 0.06))
  maker.use(0, layer=1)
  maker.box((-0.22, 0.22), (0.42, 0.48), (-0.85, 0.85), True)
  maker.box((0.18, 0.24), (0.5, 0.85), (-0.85, 0.85), True)
  return maker.build()


@functools.cache
def wire() -> Mesh:
  """Returns a thin line from z = 0 to 1. Slot 0."""
  maker = MeshMaker()
  maker.use(0)
  maker.polygon(
    [(0.0, 0.0, 0.0), (0.0, 0.0, 1.0), (0.0, 0.025, 1.0), (0.0, 0.025, 0.0)]
  )
  return maker.build()
