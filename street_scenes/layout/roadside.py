"""What stands on sidewalks and verges: lamps, signals, signs, trees, bins."""

from __future__ import annotations

import math

from common_lib.class_table import VOID
from street_scenes.colors import shaded
from street_scenes.layout.scene_builder import FAR, POLE, SIGN, SIGNAL, Site
from street_scenes.layout.street import Side
from street_scenes.objects import furniture
from street_scenes.types import Number, Point

_RED, _YELLOW, _GREEN = (0.95, 0.12, 0.1), (0.98, 0.7, 0.1), (0.15, 0.9, 0.55)
_WHITE, _BLACK, _BLUE = (0.93, 0.93, 0.92), (0.08, 0.08, 0.08), (0.1, 0.3, 0.66)
# Kind of sign: odds, field, border, symbol; None = the city's colour.
_SIGNS = {
  'disc': (0.3, _WHITE, (0.75, 0.1, 0.12), _BLACK),
  'disc_blue': (0.15, _BLUE, _WHITE, _WHITE),
  'triangle': (0.17, None, (0.75, 0.1, 0.12), _BLACK),
  'give_way': (0.1, None, (0.75, 0.1, 0.12), _WHITE),
  'square': (0.14, _BLUE, _WHITE, _WHITE),
  'diamond': (0.08, (0.95, 0.78, 0.15), _WHITE, (0.95, 0.78, 0.15)),
  'stop': (0.06, (0.75, 0.1, 0.12), _WHITE, _WHITE),
}


def furnish(site: Site) -> None:
  """Puts up all that stands on both sidewalks."""
  dice = site.dice
  lamps_on = dice.pick((-1, 1))
  for side in site.street.sides:
    if side.sign == lamps_on or dice.chance(0.2):
      _lamps(site, side)
    _signs(site, side)
    if dice.chance(0.36):
      _street_trees(site, side)
    _small_things(site, side)
    if dice.chance(0.1):
      _utility_line(site, side)
  if site.street.crossing or (site.street.zebra and dice.chance(0.6)):
    _signals(site)
  if dice.chance(0.07):
    _gantry(site)
  if site.street.rails:
    _tram_wires(site)


def _lamps(site: Site, side: Side) -> None:
  dice, kind = site.dice, site.style.lamp
  step = dice.uniform(20.0, 30.0) if kind == 'arm' else dice.uniform(12, 18)
  z = dice.uniform(7.0, step)
  while z < 75:
    x, z_world, yaw = site.spot(side, side.kerb + 0.45, z)
    # The arm reaches over the road.
    turn = yaw + (math.pi if side.sign > 0 else 0.0)
    group = site.world.group(x, z_world)
    metal = dice.tint(site.style.pole_color, 0.05)
    if not site.blocked(z, z, 0.5):
      site.world.add(
        furniture.lamp_post(kind),
        POLE,
        (x, 0.0, z_world),
        (metal,),
        yaw=turn,
        group=group,
      )
      site.world.add(
        furniture.lamp_head(kind),
        POLE,
        (x, 0.0, z_world),
        (metal, (1.0, 0.86, 0.6)),
        yaw=turn,
        group=group,
        layer=1,
      )
      reach, height = furniture.LAMP_POINT[kind]
      light_x = x + reach * math.cos(turn)
      site.world.light((light_x, height, z_world), (1.0, 0.8, 0.5), 1.0)
    z += step


def _plate(
  site: Site,
  position: Point,
  yaw: Number,
  size: Number,
  group: int,
) -> None:
  """Mounts one random sign."""
  dice = site.dice
  kind = dice.weighted({name: sign[0] for name, sign in _SIGNS.items()})
  _, field, border, symbol = _SIGNS[kind]
  site.world.add(
    furniture.sign(kind.removesuffix('_blue')),
    SIGN,
    position,
    (
      dice.tint(field or site.style.sign_field, 0.04),
      dice.tint(border, 0.04),
      symbol,
    ),
    yaw=yaw,
    scale=(size, size, 1.0),
    group=group,
    layer=2,
  )


def _signs(site: Site, side: Side) -> None:
  dice = site.dice
  z = dice.uniform(6.0, 26.0)
  while z < 62:
    x, z_world, yaw = site.spot(side, side.kerb + dice.uniform(0.3, 0.6), z)
    group = site.world.group(x, z_world)
    height = dice.uniform(2.2, 2.9)
    site.world.add(
      furniture.pole(3.2, 0.04),
      POLE,
      (x, 0.0, z_world),
      ((0.55, 0.55, 0.55),),
      scale=(1.0, (height + 0.4) / 3.2, 1.0),
      group=group,
    )
    turn = yaw + dice.uniform(-0.25, 0.25)
    size = dice.uniform(0.85, 1.15)
    at = (x - 0.06 * math.sin(turn), height, z_world - 0.06)
    _plate(site, at, turn, size, group)
    if dice.chance(0.3):
      _plate(site, (at[0], height - 0.8 * size, at[2]), turn, size, group)
    z += dice.uniform(20.0, 45.0)


def _signals(site: Site) -> None:
  """Puts traffic lights before the crossing or the zebra crossing."""
  dice, street = site.dice, site.street
  if street.crossing:
    middle, half = street.crossing
    z = middle - half - 2.0
  else:
    z = street.zebra[0] - 2.2
  lit = dice.below(3)
  for side in street.sides:
    x, z_world, yaw = site.spot(side, side.kerb + 0.5, z)
    group = site.world.group(x, z_world)
    arm = dice.chance(0.4)
    height = 5.6 if arm else 3.3
    site.world.add(
      furniture.pole(height, 0.075),
      POLE,
      (x, 0.0, z_world),
      (site.style.pole_color,),
      group=group,
    )
    heights = [(0.0, 2.7)]
    if arm:
      reach = -side.sign * dice.pick((2.5, 3.0, 3.5, 4.0))
      heights.append((reach, 5.3))
      site.world.add(
        furniture.beam(reach),
        POLE,
        (x, 5.5, z_world),
        (site.style.pole_color,),
        yaw=yaw,
        group=group,
      )
    for across, level in heights:
      site.world.add(
        furniture.signal_box(lit),
        SIGNAL,
        (
          x + across * math.cos(yaw),
          level,
          z_world - across * math.sin(yaw) - 0.1,
        ),
        (
          site.style.signal_color,
          (_RED, _YELLOW, _GREEN)[lit],
          (0.16, 0.14, 0.13),
        ),
        yaw=yaw + dice.uniform(-0.1, 0.1),
        scale=(1.25, 1.25, 1.25),
        group=group,
        layer=2,
      )


def _street_trees(site: Site, side: Side) -> None:
  dice = site.dice
  odds = {**site.style.trees, 'conifer': 0.0}  # too wide for a sidewalk
  kind = dice.weighted(odds)
  step = dice.uniform(7.0, 14.0)
  z = dice.uniform(5.0, 12.0)
  size = dice.uniform(0.65, 1.05)
  distance = (
    (side.kerb + side.walk[0]) / 2
    if side.walk[0] > side.kerb
    else (side.kerb + 0.7)
  )
  while z < 85:
    if not site.blocked(z, z) and dice.chance(0.85):
      spot = site.spot(side, distance, z)
      site.tree(spot[0], spot[1], size, kind)
    z += step * dice.uniform(0.85, 1.15)


def _small_things(site: Site, side: Side) -> None:
  """Adds bins, benches and cabinets; they have no class."""
  dice = site.dice
  z = dice.uniform(4.0, 20.0)
  while z < 62:
    inner = side.walk[0] + 0.4 if dice.chance(0.3) else side.walk[1] - 0.45
    x, z_world, yaw = site.spot(side, inner, z)
    kind = dice.weighted({'bin': 0.5, 'bench': 0.2, 'cabinet': 0.3})
    if kind == 'bin':
      mesh, scale = furniture.bin_mesh(), (1.0, 1.0, 1.0)
      body = dice.pick(((0.2, 0.22, 0.2), (0.15, 0.3, 0.2), (0.5, 0.42, 0.1)))
      colors = (body, shaded(body, 0.7))
    elif kind == 'bench':
      mesh, scale = furniture.bench(), (1.0, 1.0, 1.0)
      colors = ((0.42, 0.3, 0.2), (0.25, 0.25, 0.25))
    else:
      mesh, scale = furniture.bin_mesh(), (1.1, 1.25, 1.6)
      colors = ((0.6, 0.6, 0.57), (0.5, 0.5, 0.48))
    site.world.add(
      mesh,
      VOID,
      (x, 0.0, z_world),
      tuple(dice.tint(c) for c in colors),
      yaw=yaw + (0.0 if side.sign > 0 else math.pi),
      scale=scale,
    )
    site.world.shadow((x, 0.0, z_world), yaw, 0.35, 0.4, 1.0)
    z += dice.uniform(12.0, 45.0)


def _utility_line(site: Site, side: Side) -> None:
  """Adds wooden poles with thin lines, which have no class."""
  dice = site.dice
  step, distance = dice.uniform(22.0, 32.0), side.walk[0] + 0.3
  z = dice.uniform(8.0, 20.0)
  while z < 90:
    x, z_world, yaw = site.spot(side, distance, z)
    group = site.world.group(x, z_world)
    for mesh, height in (
      (furniture.pole(8.0, 0.13), 0.0),
      (furniture.beam(1.6), 7.5),
    ):
      site.world.add(
        mesh,
        POLE,
        (x - (0.8 if height else 0.0), height, z_world),
        ((0.36, 0.29, 0.23),),
        yaw=yaw,
        group=group,
      )
    z += step
  for across in (-0.7, 0.7):
    site.pieces(
      furniture.wire(),
      VOID,
      side,
      distance + across,
      (0.0, 120.0),
      1.0,
      ((0.12, 0.12, 0.12),),
      length=10.0,
      base=7.6,
    )


def _gantry(site: Site) -> None:
  """Hangs direction signs over the road."""
  dice = site.dice
  left, right = site.street.sides
  z = dice.uniform(20.0, 50.0)
  color = site.style.pole_color
  start = site.spot(left, left.kerb + 0.5, z)
  end = site.spot(right, right.kerb + 0.5, z)
  group = site.world.group((start[0] + end[0]) / 2, z)
  for x, _, _ in (start, end):
    site.world.add(
      furniture.pole(6.4, 0.14), POLE, (x, 0.0, z), (color,), group=group
    )
  span = end[0] - start[0]
  site.world.add(
    furniture.beam(10.0),
    POLE,
    (start[0], 6.3, z),
    (color,),
    scale=(span / 10.0, 1.0, span / 10.0),
    group=group,
  )
  field = dice.pick(((0.1, 0.28, 0.6), (0.08, 0.4, 0.25), (0.9, 0.88, 0.8)))
  ink = (0.1, 0.1, 0.1) if field[0] > 0.5 else (0.93, 0.93, 0.93)
  for part in (0.3, 0.66)[: 1 + dice.below(2)]:
    site.world.add(
      furniture.sign('board'),
      SIGN,
      (start[0] + part * span, 5.8, z - 0.2),
      (field, ink, ink),
      scale=(1.3, 1.1, 1.0),
      group=group,
      layer=2,
    )


def _tram_wires(site: Site) -> None:
  """Hangs the thin wires of the tram, which have no class."""
  side = site.street.sides[1]
  rails = site.street.rails
  for offset in (
    (rails[0] + rails[1]) / 2,
    (rails[2] + rails[3]) / 2,
  ):
    site.pieces(
      furniture.wire(),
      VOID,
      side,
      offset,
      (0.0, 110.0),
      1.0,
      ((0.15, 0.15, 0.15),),
      length=11.0,
      base=5.2,
    )
  z = site.dice.uniform(8.0, 25.0)
  while z < FAR * 1.6:
    for one in site.street.sides:
      x, z_world, _ = site.spot(one, one.kerb + 0.4, z)
      site.world.add(
        furniture.pole(6.2, 0.1),
        POLE,
        (x, 0.0, z_world),
        (site.style.pole_color,),
      )
    z += 30.0
