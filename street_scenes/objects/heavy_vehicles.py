"""Shapes of buses, trucks and trams; slots as in `cars.py`."""

from __future__ import annotations

import functools

from street_scenes.geometry.mesh import Material, Mesh, MeshMaker
from street_scenes.objects.cars import (
  DARK,
  GLASS,
  HEAD,
  PAINT,
  PLATE,
  REAR,
  TRIM,
  add_wheels,
)
from street_scenes.types import Number


def _window_row(maker, half, heights, ends, count, gap) -> None:
  """Adds a row of windows to both sides."""
  step = (ends[1] - ends[0]) / count
  for side in (-1.0, 1.0):
    for i in range(count):
      z0 = ends[0] + i * step
      maker.side(side * half, heights, (z0, z0 + step - gap), side)


@functools.cache
def bus(decks: int = 1) -> Mesh:
  """Returns a bus of 11 m with one or two decks."""
  half, back, front = 1.27, -5.5, 5.5
  top = 3.05 if decks == 1 else 4.3
  maker = MeshMaker()
  add_wheels(maker, half, (-3.2, 3.0), 0.48)
  maker.use(PAINT, Material.PAINT, 0)
  maker.hull(
    (
      (back, 0.3),
      (back, top - 0.1),
      (back + 0.25, top),
      (front - 0.4, top),
      (front, top - 0.35),
      (front + 0.08, 1.2),
      (front, 0.3),
    ),
    half,
  )
  maker.use(TRIM, Material.PAINT, 0)
  for side in (-1.0, 1.0):
    maker.side(side * (half + 0.004), (0.3, 0.75), (back, front), side)
  maker.use(GLASS, Material.GLASS, 1)
  _window_row(maker, half + 0.006, (1.15, 2.35), (-5.2, 5.2), 7, 0.16)
  if decks == 2:
    _window_row(maker, half + 0.006, (2.85, 3.8), (-5.2, 5.2), 7, 0.16)
    maker.front((-1.1, 1.1), (2.85, 3.75), front + 0.1, 1.0)
    maker.front((-1.1, 1.1), (2.85, 3.75), back - 0.01, -1.0)
  maker.front((-1.17, 1.17), (1.05, 2.4), front + 0.09, 1.0)
  maker.front((-1.0, 1.0), (1.5, 2.4), back - 0.01, -1.0)
  for z in (-0.6, 4.0):  # doors, on the right
    maker.side(half + 0.008, (0.35, 2.35), (z, z + 1.15), 1.0)
  maker.use(DARK, layer=1)
  maker.front((-0.9, 0.9), (0.55, 1.15), back - 0.01, -1.0)
  maker.front((-1.0, 1.0), (2.5, 2.85), front + 0.09, 1.0)
  maker.front((-0.6, 0.6), (2.5, 2.8), back - 0.01, -1.0)
  maker.use(PLATE, Material.LAMP, 2)
  maker.front((-0.8, 0.5), (2.56, 2.78), front + 0.1, 1.0)
  maker.front((-0.4, 0.3), (2.56, 2.74), back - 0.02, -1.0)
  for side in (-1.0, 1.0):
    x = sorted((side * 0.95, side * 1.22))
    maker.use(REAR, Material.LAMP, 2)
    maker.front((x[0], x[1]), (0.8, 1.3), back - 0.02, -1.0)
    maker.use(HEAD, Material.LAMP, 2)
    maker.front((x[0], x[1]), (0.6, 0.85), front + 0.1, 1.0)
  return maker.build()


@functools.cache
def truck_cab() -> Mesh:
  """Returns the cab of a truck, 2 m long, its rear at z = 0."""
  half = 1.2
  maker = MeshMaker()
  add_wheels(maker, half, (1.0,), 0.5)
  maker.use(PAINT, Material.PAINT, 0)
  maker.hull(
    ((0.0, 0.45), (0.0, 2.75), (1.5, 2.75), (2.0, 1.5), (2.05, 0.4)), half
  )
  maker.use(GLASS, Material.GLASS, 1)
  maker.polygon(
    [(-1.05, 1.55, 2.0), (1.05, 1.55, 2.0), (1.0, 2.5, 1.62), (-1, 2.5, 1.62)],
    (0.0, 0.3, 1.0),
  )
  for side in (-1.0, 1.0):
    maker.use(GLASS, Material.GLASS, 1)
    maker.side(side * (half + 0.01), (1.55, 2.4), (0.5, 1.5), side)
    x = sorted((side * 0.75, side * 1.1))
    maker.use(HEAD, Material.LAMP, 2)
    maker.front((x[0], x[1]), (0.6, 0.85), 2.07, 1.0)
    maker.use(DARK, layer=-1)  # below the cab: hidden on the far side
    x = sorted((side * 1.2, side * 1.4))
    maker.box((x[0], x[1]), (1.6, 2.2), (1.7, 1.8), True)
  maker.use(DARK, layer=2)
  maker.front((-0.7, 0.7), (0.75, 1.35), 2.06, 1.0)
  return maker.build()


def _truck_rear(maker: MeshMaker, half: Number, low: Number, z: Number) -> None:
  """Adds bumper, lights and plate at the rear end."""
  maker.use(DARK, layer=0)
  maker.box((-half, half), (0.5, low), (z, z + 0.3))
  maker.use(TRIM, layer=2)
  maker.front((-half, half), (0.48, 0.6), z - 0.02, -1.0)
  maker.use(PLATE, layer=3)
  maker.front((-0.3, 0.3), (0.62, 0.76), z - 0.03, -1.0)
  maker.use(REAR, Material.LAMP, 3)
  for side in (-1.0, 1.0):
    x = sorted((side * 0.75, side * 1.1))
    maker.front((x[0], x[1]), (0.62, 0.8), z - 0.03, -1.0)


@functools.cache
def truck_load(kind: str, length: Number) -> Mesh:
  """Returns what a truck carries, its front at z = 0, with wheels.

  Args:
    kind: 'box', 'tarp', 'flatbed' or 'tank'.
    length: metres.
  """
  half, low = 1.24, 1.0
  maker = MeshMaker()
  axles = (-length + 1.2, -length + 2.3) if length > 5 else (-length + 1.2,)
  maker.use(DARK, layer=-2)
  maker.box((-half + 0.25, half - 0.25), (0.55, low), (-length, 0.0))
  add_wheels(maker, half, axles, 0.5)
  top = {'box': 3.5, 'tarp': 3.6, 'flatbed': 1.7, 'tank': 1.2}[kind]
  maker.use(PAINT, Material.CLOTH if kind == 'tarp' else Material.PAINT, 0)
  maker.box((-half, half), (low, top), (-length, -0.05))
  if kind == 'flatbed':
    maker.use(TRIM, Material.WALL, 1)
    maker.box((-half + 0.2, half - 0.2), (top, 2.4), (-length + 1.0, -1.0))
  elif kind == 'tank':
    maker.use(PAINT, Material.PAINT, 1)
    maker.capsule((0, 2.2, -length + 0.9), (0, 2.2, -0.9), 1.2, 1.2)
    maker.disc((0.0, 2.2, -length + 0.02), 1.2, 'z', -1.0, 16)
  else:
    maker.use(DARK, layer=1)
    for x in (-half + 0.02, -0.02, half - 0.06):
      maker.front((x, x + 0.04), (low, top), -length - 0.005, -1.0)
    maker.use(TRIM, layer=1)
    for side in (-1.0, 1.0):
      maker.side(
        side * (half + 0.005), (1.6, 2.6), (-length * 0.75, -length * 0.3), side
      )
  _truck_rear(maker, half, low, -length)
  return maker.build()


@functools.cache
def tram_section(end: int) -> Mesh:
  """Returns 9 m of a tram.

  Args:
    end: +1 the front section, -1 the rear section, 0 between.
  """
  half, back, front, top = 1.25, -4.4, 4.4, 3.4
  profile = [(back, 0.25), (back, top), (front, top), (front, 0.25)]
  if end > 0:
    profile[2:] = [(front - 0.7, top), (front + 0.1, 1.3), (front, 0.25)]
  if end < 0:
    profile[:2] = [(back, 0.25), (back - 0.1, 1.3), (back + 0.7, top)]
  maker = MeshMaker()
  maker.use(PAINT, Material.PAINT, 0)
  maker.hull(profile, half)
  maker.use(DARK, layer=0)
  maker.box((-0.9, 0.9), (top, top + 0.3), (-2.5, 2.5))
  maker.use(TRIM, Material.PAINT, 1)
  for side in (-1.0, 1.0):
    maker.side(side * (half + 0.004), (0.25, 0.9), (back, front), side)
    maker.side(side * (half + 0.004), (2.75, 2.95), (back, front), side)
  maker.use(GLASS, Material.GLASS, 2)
  _window_row(maker, half + 0.006, (1.2, 2.6), (-4.0, 4.0), 5, 0.14)
  for side in (-1.0, 1.0):
    for z in (-2.4, 0.9):
      maker.side(side * (half + 0.008), (0.3, 2.6), (z, z + 1.3), side)
  _tram_end(maker, end, front if end > 0 else back, top)
  return maker.build()


def _tram_end(maker: MeshMaker, end: int, z: Number, top: Number) -> None:
  """Adds windscreen, lights and destination of an end section."""
  if end == 0:
    return
  out = float(end)
  z += 0.12 * out
  maker.use(GLASS, Material.GLASS, 2)
  maker.polygon(
    [
      (-1.1, 1.35, z),
      (1.1, 1.35, z),
      (1.05, 2.7, z - 0.5 * out),
      (-1.05, 2.7, z - 0.5 * out),
    ],
    (0.0, 0.3, out),
  )
  maker.use(PLATE, Material.LAMP, 3)
  maker.polygon(
    [
      (-0.7, 2.85, z - 0.52 * out),
      (0.7, 2.85, z - 0.52 * out),
      (0.7, top - 0.22, z - 0.68 * out),
      (-0.7, top - 0.22, z - 0.68 * out),
    ],
    (0.0, 0.3, out),
  )
  maker.use(HEAD if end > 0 else REAR, Material.LAMP, 3)
  for x in (-1.05, 0.75):
    maker.front((x, x + 0.3), (0.7, 0.95), z, out)
