"""Shapes of cars and vans.

Colour slots of all vehicles: 0 paint, 1 glass, 2 tyres and dark parts, 3 hubs,
4 rear lights, 5 front lights, 6 plates, 7 trim or second paint.
The front looks along +z.
"""

from __future__ import annotations

import dataclasses
import functools

from street_scenes.geometry.mesh import Material, Mesh, MeshMaker
from street_scenes.types import Number

PAINT, GLASS, DARK, HUB, REAR, HEAD, PLATE, TRIM = range(8)


@dataclasses.dataclass(frozen=True)
class CarBody:
  """Measures of a car, metres.

  Attributes:
    width: of the body.
    lower: (z, y) side view of the body below the windows, convex.
    cabin: (z, y) of the cabin: rear foot, front foot, front top, rear top.
    axles: z of the rear and the front axle.
    wheel: radius.
    windowless: share of the cabin's side, from the rear, without windows.
  """

  width: float
  lower: tuple[tuple[float, float], ...]
  cabin: tuple[tuple[float, float], ...]
  axles: tuple[float, float] = (-1.35, 1.4)
  wheel: float = 0.33
  windowless: float = 0.0


_SEDAN = CarBody(
  width=1.8,
  lower=(
    (-2.2, 0.32),
    (-2.3, 0.6),
    (-2.22, 0.92),
    (-1.5, 0.98),
    (0.95, 0.95),
    (2.05, 0.76),
    (2.28, 0.55),
    (2.2, 0.26),
  ),
  cabin=((-1.85, 0.95), (1.1, 0.95), (0.3, 1.44), (-1.1, 1.42)),
)
_HATCHBACK = CarBody(
  width=1.75,
  lower=(
    (-1.9, 0.32),
    (-1.98, 0.6),
    (-1.9, 0.97),
    (0.95, 0.97),
    (1.85, 0.8),
    (2.02, 0.55),
    (1.95, 0.26),
  ),
  cabin=((-1.9, 0.96), (1.1, 0.96), (0.35, 1.5), (-1.5, 1.47)),
  axles=(-1.25, 1.25),
)
_SUV = CarBody(
  width=1.9,
  lower=(
    (-2.2, 0.4),
    (-2.28, 0.7),
    (-2.2, 1.08),
    (1.0, 1.1),
    (2.05, 0.98),
    (2.25, 0.7),
    (2.2, 0.36),
  ),
  cabin=((-2.2, 1.08), (1.15, 1.08), (0.5, 1.7), (-1.95, 1.7)),
  wheel=0.38,
)
_VAN = CarBody(
  width=2.0,
  lower=(
    (-2.6, 0.4),
    (-2.62, 1.1),
    (1.75, 1.12),
    (2.45, 0.98),
    (2.6, 0.6),
    (2.55, 0.32),
  ),
  cabin=((-2.62, 1.1), (1.85, 1.1), (1.05, 2.1), (-2.55, 2.1)),
  axles=(-1.7, 1.75),
  wheel=0.35,
  windowless=0.6,
)
CAR_BODIES = {
  'sedan': _SEDAN,
  'hatchback': _HATCHBACK,
  'suv': _SUV,
  'van': _VAN,
}


def add_wheels(
  maker: MeshMaker,
  half_width: Number,
  axles: tuple[float, ...],
  radius: Number,
  far: bool = False,
) -> None:
  """Adds tyres; their discs lie on the sides of a body that is there."""
  for z in axles:
    for side in (-1.0, 1.0):
      inner, outer = half_width - 0.24, half_width - 0.02
      x = (inner, outer) if side > 0 else (-outer, -inner)
      maker.use(DARK, layer=-1)
      if far:
        maker.front(x, (0.0, radius), z - radius * 0.8, -1.0)
        maker.front(x, (0.0, radius), z + radius * 0.8, 1.0)
      else:
        maker.box(x, (0.0, radius), (z - radius * 0.8, z + radius * 0.8))
      maker.use(DARK, layer=1)
      x = side * (half_width + 0.01)
      maker.disc((x, radius, z), radius * 1.06, 'x', side, 8 if far else 14)
      if not far:
        maker.use(HUB, layer=2)
        maker.disc((x, radius, z), radius * 0.6, 'x', side, 10)


def _shrink(points, share, sink=0.0):
  """Moves corners towards their middle; lowers them by `sink`."""
  count = len(points)
  middle = [sum(p[i] for p in points) / count for i in range(len(points[0]))]
  return [
    tuple(
      m + (c - m) * share - (sink if i == 1 else 0.0)
      for i, (c, m) in enumerate(zip(p, middle))
    )
    for p in points
  ]


def _cabin(maker: MeshMaker, body: CarBody, far: bool) -> None:
  """Adds the cabin and its windows."""
  foot_half, top_half = body.width / 2 - 0.06, body.width / 2 - 0.24
  rear_foot, front_foot, front_top, rear_top = body.cabin
  maker.use(PAINT, Material.PAINT, 3)
  maker.hull(body.cabin, foot_half, top_half, skip=(0,))
  maker.use(GLASS, Material.GLASS, 4)

  def across(low, high):
    return [
      (-foot_half, low[1], low[0]),
      (foot_half, low[1], low[0]),
      (top_half, high[1], high[0]),
      (-top_half, high[1], high[0]),
    ]

  maker.polygon(_shrink(across(front_foot, front_top), 0.88), (0, 0.3, 1.0))
  rear = _shrink(across(rear_foot, rear_top), 0.8)
  maker.polygon(rear, (0.0, 0.3, -1.0))
  start = body.windowless
  cuts = (start, 1.0) if far else (start, 0.5 + start / 2, 1.0)
  for side in (-1.0, 1.0):
    for a, b in zip(cuts, cuts[1:]):
      corners = []
      for part, top in ((a, False), (b, False), (b, True), (a, True)):
        back, ahead = (rear_top, front_top) if top else (rear_foot, front_foot)
        z = back[0] + (ahead[0] - back[0]) * part
        y = back[1] + (ahead[1] - back[1]) * part
        corners.append((side * (top_half if top else foot_half), y, z))
      maker.polygon(_shrink(corners, 0.84), (side, 0.0, 0.0))


def _car_ends(maker: MeshMaker, body: CarBody, far: bool) -> None:
  """Adds lights, plates, grille and bumpers."""
  half = body.width / 2
  rear, front = min(body.lower)[0] - 0.01, max(body.lower)[0] + 0.01
  belt = body.cabin[0][1]
  for side in (-1.0, 1.0):
    inner, outer = side * half * 0.62, side * half * 0.97
    x = (min(inner, outer), max(inner, outer))
    maker.use(REAR, Material.LAMP, 4)
    maker.front(x, (belt - 0.3, belt - 0.1), rear, -1.0)
    maker.use(HEAD, Material.LAMP, 4)
    maker.front(x, (0.56, 0.7), front, 1.0)
  if far:
    return
  maker.use(TRIM, layer=4)
  maker.front((-half, half), (0.3, 0.46), rear, -1.0)
  maker.front((-half * 0.95, half * 0.95), (0.26, 0.42), front, 1.0)
  maker.use(DARK, layer=4)
  maker.front((-0.5, 0.5), (0.42, 0.6), front, 1.0)
  maker.use(PLATE, layer=5)
  maker.front((-0.26, 0.26), (0.5, 0.62), rear - 0.01, -1.0)
  maker.front((-0.26, 0.26), (0.36, 0.46), front + 0.01, 1.0)
  # Below the cabin, which hides the mirror on the far side.
  maker.use(PAINT, Material.PAINT, 2)
  mirror_z = body.cabin[1][0] - 0.3
  for side in (-1.0, 1.0):
    x = sorted((side * (half - 0.02), side * (half + 0.18)))
    maker.box(
      (x[0], x[1]), (belt, belt + 0.16), (mirror_z, mirror_z + 0.12), True
    )


@functools.cache
def car(kind: str, far: bool) -> Mesh:
  """Returns a car.

  Args:
    kind: one of `CAR_BODIES`.
    far: leave out the details that cannot be seen from afar.
  """
  body = CAR_BODIES[kind]
  half = body.width / 2
  maker = MeshMaker()
  add_wheels(maker, half, body.axles, body.wheel, far)
  maker.use(PAINT, Material.PAINT, 0)
  maker.hull(body.lower, half)
  if not far:
    maker.use(TRIM, layer=0)
    low = body.lower[0][1]
    for side in (-1.0, 1.0):
      maker.side(
        side * (half + 0.005), (low - 0.02, low + 0.1), body.axles, side
      )
  _cabin(maker, body, far)
  _car_ends(maker, body, far)
  return maker.build()
