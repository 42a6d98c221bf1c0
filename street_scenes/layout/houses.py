"""Houses: facades, end walls and roofs."""

from __future__ import annotations

import math

from street_scenes.colors import brightened, shaded
from street_scenes.layout.scene_builder import BUILDING, FAR, Site
from street_scenes.layout.street import Side
from street_scenes.objects import buildings
from street_scenes.objects.buildings import Facade
from street_scenes.types import Color, Number, Span


def _sample_facade(site: Site, height: Number, number: Number) -> Facade:
  """Draws how a facade looks."""
  dice, style = site.dice, site.style
  return Facade(
    height=height,
    ground=dice.uniform(3.2, 4.2),
    floor=dice.uniform(2.7, 3.5),
    pitch=dice.uniform(1.7, 3.4),
    window_width=dice.uniform(0.36, 0.66),
    window_height=dice.uniform(0.42, 0.66),
    shop=float(dice.chance(style.shops)),
    brick=0.16 if dice.chance(style.brick) else 0.0,
    band=dice.uniform(-0.05, 0.14),
    shutters=float(dice.chance(0.22)),
    balcony=float(dice.chance(style.balconies)),
    number=number,
    frame=dice.tint(dice.pick(style.frames), 0.03),
    accent=dice.tint(dice.pick(style.accents), 0.1),
  )


def build_house(
  site: Site,
  side: Side,
  distance: Number,
  span: Span,
  floors: int,
) -> None:
  """Builds one house with its front at a distance from the street's middle."""
  dice, style = site.dice, site.style
  z0, z1 = span
  height = 3.6 + floors * dice.uniform(2.8, 3.3) + dice.uniform(0.3, 0.9)
  site.facades.append(_sample_facade(site, height, dice.uniform(0, 97)))
  row = len(site.facades) - 1
  plaster = dice.tint(dice.pick(style.plaster), 0.07)
  deep = dice.uniform(9.0, 12.0)
  site.pieces(
    buildings.facade_piece(),
    BUILDING,
    side,
    distance,
    span,
    height,
    (plaster,),
    length=4.0 if z0 < 30 else 8.0,
    style=row,
  )
  _end_wall(site, side, (distance, distance + deep), z0, height, plaster, row)
  gabled = dice.chance(style.gabled) and floors < 6
  if gabled:
    _roof(site, side, distance, span, height, deep, plaster)
  elif z0 < 35:
    edge = brightened(plaster, 1.12)
    site.pieces(
      buildings.block(),
      BUILDING,
      side,
      distance - 0.3,
      span,
      0.32,
      (edge,),
      base=height - 0.3,
      depth=0.4,
      layer=1,
    )


def _end_wall(
  site: Site,
  side: Side,
  reach: Span,
  z: Number,
  height: Number,
  plaster: Color,
  row: int,
) -> None:
  """Builds the wall that looks along the street towards the camera."""
  near = site.spot(side, reach[0], z)
  far = site.spot(side, reach[1], z)
  # The piece shows its -x to the camera if it runs to the left.
  start, end = (far, near) if side.sign > 0 else (near, far)
  dx, dz = end[0] - start[0], end[1] - start[1]
  site.world.add(
    buildings.facade_piece(),
    BUILDING,
    (start[0], 0.0, start[1]),
    (shaded(plaster, 0.92),),
    yaw=math.atan2(dx, dz),
    scale=(1.0, height, math.hypot(dx, dz)),
    group=site.world.group((near[0] + far[0]) / 2, z),
    style=row,
    shift=0.7,
  )


def _roof(
  site: Site,
  side: Side,
  distance: Number,
  span: Span,
  height: Number,
  deep: Number,
  plaster: Color,
) -> None:
  """Adds a pitched roof and its gable; near ones have dormers too."""
  dice = site.dice
  z0, z1 = span
  rise = deep / 2 * dice.uniform(0.6, 1.0)
  tiles = dice.tint(dice.pick(site.style.roofs), 0.07)
  x, z, yaw, run = site.run(side, distance, z0, z1)
  middle = site.spot(side, distance + 2.0, (z0 + z1) / 2)
  group = site.world.group(middle[0], middle[1])
  site.world.add(
    buildings.roof_piece(),
    BUILDING,
    (x, height, z),
    (tiles,),
    yaw=yaw,
    scale=(deep / 2, rise, run),
    group=group,
  )
  corner = site.spot(side, distance if side.sign > 0 else distance + deep, z0)
  site.world.add(
    buildings.gable(),
    BUILDING,
    (corner[0], height, corner[1]),
    (shaded(plaster, 0.9),),
    yaw=corner[2],
    scale=(deep / 2, rise, 1.0),
    group=group,
    layer=-1,
  )
  if z0 < FAR:
    _roof_details(
      site, side, distance, span, height, rise, deep, plaster, group
    )


def _roof_details(
  site: Site,
  side: Side,
  distance: Number,
  span: Span,
  height: Number,
  rise: Number,
  deep: Number,
  plaster: Color,
  group: int,
) -> None:
  """Adds dormers and a chimney."""
  dice = site.dice
  z0, z1 = span
  for part in (0.3, 0.7):
    if dice.chance(0.5):
      spot = site.spot(side, distance + 0.5, z0 + part * (z1 - z0))
      site.world.add(
        buildings.dormer(),
        BUILDING,
        (spot[0], height + 0.1 * rise, spot[1]),
        (plaster, (0.2, 0.24, 0.28)),
        yaw=spot[2] + (0 if side.sign > 0 else math.pi),
        group=group,
        layer=2,
      )
  chimney = site.spot(side, distance + deep / 2, z0 + dice.uniform(1, 4))
  site.world.add(
    buildings.block(),
    BUILDING,
    (chimney[0], height + 0.6 * rise, chimney[1]),
    ((0.45, 0.3, 0.25),),
    yaw=chimney[2],
    scale=(0.8, 0.4 * rise + 1.1, 0.9),
    group=group,
    layer=3,
  )
