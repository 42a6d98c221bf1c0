"""What stands beside the sidewalk: houses, gardens, parks, walls and yards."""

from __future__ import annotations

from street_scenes.colors import shaded
from street_scenes.layout.houses import build_house
from street_scenes.layout.scene_builder import (
  FAR,
  FENCE,
  TERRAIN,
  TRAIN,
  VEGETATION,
  WALL,
  Site,
)
from street_scenes.layout.street import Side
from street_scenes.objects import furniture, plants
from street_scenes.objects import heavy_vehicles as shapes
from street_scenes.types import Color, Number


def build_sides(site: Site) -> None:
  """Fills all zones of both sides."""
  builders = {
    'block': _block,
    'garden': _garden,
    'park': _park,
    'wall': _walled,
    'yard': _yard,
    'rail': _railway,
  }
  for side in site.street.sides:
    for start, end, kind in side.zones:
      for z0, z1 in _around_crossing(site, start, end):
        builders[kind](site, side, z0, z1)


def _around_crossing(
  site: Site, start: Number, end: Number
) -> list[tuple[float, float]]:
  """Cuts the crossing street out of a span."""
  if site.street.crossing is None:
    return [(start, end)]
  middle, half = site.street.crossing
  low, high = middle - half - 2.8, middle + half + 2.8
  if end <= low or start >= high:
    return [(start, end)]
  parts = [(start, low), (high, end)]
  return [(a, b) for a, b in parts if b - a > 2.0]


def _block(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """Houses wall to wall, with an alley now and then."""
  dice, style = site.dice, site.style
  z = z0
  low, high = style.floors
  usual = low + dice.below(high - low + 1)
  while z < z1 - 2.0:
    end = min(z + dice.span(style.frontage), z1)
    if z1 - end < 5.0:
      end = z1
    floors = min(max(usual + dice.below(4) - 2, low), high)
    back = dice.uniform(0.0, 0.6) if dice.chance(0.4) else 0.0
    if end > -2:  # nothing of it can be seen otherwise
      build_house(site, side, side.walk[1] + back, (z, end), floors)
      site.raise_skyline(side, z, end, 4.0 + 3.1 * floors)
    z = end
    if dice.chance(0.14):
      gap = dice.uniform(3.0, 7.0)
      _gap(site, side, z, min(z + gap, z1))
      z += gap


def _gap(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """Closes an alley with a wall or a fence; a tree looks over it."""
  dice = site.dice
  if z1 - z0 < 2.0:
    return
  if dice.chance(0.5):
    _wall(site, side, z0, z1, dice.uniform(1.7, 2.6))
  else:
    _fence(site, side, z0, z1, dice.uniform(1.5, 2.2))
  if dice.chance(0.6):
    spot = site.spot(side, side.walk[1] + 3.0, (z0 + z1) / 2)
    site.tree(spot[0], spot[1])


def _wall(
  site: Site, side: Side, z0: Number, z1: Number, height: Number
) -> None:
  dice = site.dice
  color = dice.tint(dice.pick(site.style.walls), 0.06)
  site.pieces(
    furniture.wall_piece(),
    WALL,
    side,
    side.walk[1],
    (z0, z1),
    height,
    (color, shaded(color, 0.85)),
  )
  site.raise_skyline(side, z0, z1, height)


def _fence(
  site: Site,
  side: Side,
  z0: Number,
  z1: Number,
  height: Number,
  kind: str | None = None,
) -> None:
  dice = site.dice
  if kind is None:
    kind = dice.weighted({'pickets': 0.5, 'mesh': 0.25, 'boards': 0.25})
  color = dice.tint(dice.pick(site.style.fences), 0.08)
  if kind == 'mesh':
    color = dice.tint((0.4, 0.43, 0.42))
  site.pieces(
    furniture.fence_piece(kind),
    FENCE,
    side,
    side.walk[1],
    (z0, z1),
    height,
    (color, shaded(color, 0.8)),
    length=2.5 if z0 < FAR else 6.0,
  )
  if kind == 'boards':
    site.raise_skyline(side, z0, z1, height)


def _hedge(
  site: Site, side: Side, z0: Number, z1: Number, height: Number
) -> None:
  site.pieces(
    plants.hedge(site.dice.below(3)),
    VEGETATION,
    side,
    side.walk[1] + 0.5,
    (z0, z1),
    height / 1.2,
    site.leaf_colors(),
    length=3.0,
  )


def _garden(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """Detached houses behind lawns, hedges and low fences."""
  dice = site.dice
  border = dice.weighted({'fence': 0.45, 'hedge': 0.3, 'wall': 0.25})
  if border == 'fence':
    _fence(site, side, z0, z1, dice.uniform(0.9, 1.5), 'pickets')
  elif border == 'hedge':
    _hedge(site, side, z0, z1, dice.uniform(0.9, 1.6))
  else:
    _wall(site, side, z0, z1, dice.uniform(0.7, 1.2))
  z = z0 + dice.uniform(0.0, 3.0)
  while z < z1 - 7.0:
    end = min(z + dice.uniform(8.0, 13.0), z1)
    back = dice.uniform(4.0, 7.0)
    if end > -2:
      build_house(site, side, side.walk[1] + back, (z, end), dice.below(2))
      site.raise_skyline(side, z, end, 3.5)
    gap = dice.uniform(2.5, 6.0)
    if dice.chance(0.8):
      spot = site.spot(side, side.walk[1] + dice.uniform(1.8, 4), end + gap / 2)
      site.tree(spot[0], spot[1], dice.uniform(0.6, 1.0))
    z = end + gap
  _tree_line(site, side, z0, z1, 17.0)


def _tree_line(
  site: Site, side: Side, z0: Number, z1: Number, back: Number
) -> None:
  """Closes the view behind open ground with a belt of trees."""
  dice = site.dice
  z = max(z0, 0.0) + dice.uniform(0, 5)
  while z < z1:
    spot = site.spot(side, side.walk[1] + back + dice.uniform(-2, 2), z)
    size = dice.uniform(0.8, 1.35)
    site.world.add(
      plants.clump(dice.below(plants.VARIANTS)),
      VEGETATION,
      (spot[0], 0.0, spot[1]),
      site.leaf_colors(),
      scale=(size, size * dice.uniform(0.8, 1.2), size),
    )
    z += dice.uniform(6.0, 11.0)


def _park(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """Grass with trees and bushes, sometimes on a bank."""
  dice = site.dice
  bank = dice.chance(0.45)
  if bank:
    height = dice.uniform(0.8, 2.6)
    site.pieces(
      furniture.bank_piece(),
      TERRAIN,
      side,
      side.walk[1] + 0.3,
      (z0, z1),
      height,
      (dice.tint(dice.pick(site.style.grass), 0.06),),
      depth=dice.uniform(2.5, 5.0),
      length=3.0 if z0 < FAR else 8.0,
    )
  elif dice.chance(0.4):
    _fence(site, side, z0, z1, dice.uniform(0.8, 1.3))
  count = int((z1 - z0) / dice.uniform(5.0, 9.0))
  for _ in range(count):
    z = dice.uniform(z0 + 1, z1 - 1)
    reach = 6.0 if bank else 1.5
    spot = site.spot(side, side.walk[1] + reach + dice.uniform(0, 8.0), z)
    if dice.chance(0.7):
      site.tree(spot[0], spot[1], dice.uniform(0.8, 1.3))
    else:
      site.world.add(
        plants.bush(dice.below(4)),
        VEGETATION,
        (spot[0], 0.0, spot[1]),
        site.leaf_colors(),
        scale=(1.3, dice.uniform(0.8, 1.4), 1.3),
      )
  _tree_line(site, side, z0, z1, 16.0)


def _walled(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """A wall with trees or a house behind it."""
  dice = site.dice
  _wall(site, side, z0, z1, dice.uniform(1.6, 3.4))
  if dice.chance(0.5):
    z = z0 + dice.uniform(1.0, 4.0)
    while z < z1 - 1:
      spot = site.spot(side, side.walk[1] + dice.uniform(2.5, 5.0), z)
      site.tree(spot[0], spot[1], dice.uniform(0.8, 1.2))
      z += dice.uniform(5.0, 10.0)
    _tree_line(site, side, z0, z1, 14.0)
  elif z1 > 0:
    build_house(
      site, side, side.walk[1] + dice.uniform(4.0, 8.0), (z0, z1), dice.below(4)
    )


def _yard(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """A fenced yard with a shed."""
  dice = site.dice
  _fence(
    site, side, z0, z1, dice.uniform(1.6, 2.3), dice.pick(('mesh', 'boards'))
  )
  if z1 > 0:
    build_house(
      site,
      side,
      side.walk[1] + dice.uniform(9.0, 12.0),
      (z0, z1),
      dice.below(2),
    )


def _railway(site: Site, side: Side, z0: Number, z1: Number) -> None:
  """A railway beside the street with a train on it."""
  dice = site.dice
  if dice.chance(0.6):
    _fence(site, side, z0, z1, dice.uniform(1.0, 1.4), 'mesh')
  paint = dice.tint(dice.pick(site.style.trams), 0.05)
  colors = tram_colors(site, paint)
  z = max(z0, 2.0) + 5.0
  count = int((z1 - z) // 9.0)
  for i in range(count):
    spot = site.spot(side, side.walk[1] + 3.6, z + 9.0 * i)
    end = -1 if i == 0 else (1 if i == count - 1 else 0)
    site.world.add(
      shapes.tram_section(end),
      TRAIN,
      (spot[0], 0.15, spot[1]),
      colors,
      yaw=spot[2],
      scale=(1.08, 1.08, 1.02),
    )
  _tree_line(site, side, z0, z1, 12.0)


def tram_colors(site: Site, paint: Color) -> tuple[Color, ...]:
  """Returns the colours of a tram's slots."""
  trim = site.dice.tint(site.dice.pick(site.style.trams), 0.05)
  return (
    paint,
    (0.13, 0.15, 0.17),
    (0.1, 0.1, 0.11),
    (0.4, 0.4, 0.4),
    (0.75, 0.08, 0.07),
    (0.95, 0.93, 0.82),
    (0.95, 0.6, 0.1),
    trim,
  )
