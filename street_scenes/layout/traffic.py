"""Vehicles on the road and people beside it."""

from __future__ import annotations

import math

from street_scenes.layout.blocks import tram_colors
from street_scenes.layout.scene_builder import (
  BICYCLE,
  BUS,
  CAR,
  MOTORCYCLE,
  PERSON,
  RIDER,
  TRAIN,
  TRUCK,
  Site,
)
from street_scenes.layout.street import Lane, Side
from street_scenes.objects import cars, heavy_vehicles, people
from street_scenes.types import Color, Number, Span

_CARS = {'sedan': 0.3, 'hatchback': 0.34, 'suv': 0.22, 'van': 0.14}
_GLASS, _TYRE, _HUB = (0.14, 0.17, 0.2), (0.07, 0.07, 0.075), (0.5, 0.5, 0.52)
_REAR, _HEAD, _PLATE = (0.46, 0.04, 0.04), (0.92, 0.92, 0.86), (0.88, 0.87, 0.8)
_AMBER = (0.95, 0.6, 0.12)
_CLOTHES: tuple[Color, ...] = (
  (0.12, 0.13, 0.16),
  (0.2, 0.24, 0.34),
  (0.45, 0.12, 0.12),
  (0.55, 0.53, 0.5),
  (0.8, 0.78, 0.74),
  (0.24, 0.32, 0.24),
  (0.62, 0.5, 0.3),
  (0.3, 0.42, 0.58),
  (0.5, 0.3, 0.42),
  (0.85, 0.7, 0.2),
)
_TROUSERS: tuple[Color, ...] = (
  (0.13, 0.14, 0.18),
  (0.2, 0.25, 0.36),
  (0.3, 0.29, 0.28),
  (0.5, 0.45, 0.38),
  (0.1, 0.1, 0.1),
)
_SKIN: tuple[Color, ...] = (
  (0.82, 0.64, 0.53),
  (0.7, 0.5, 0.4),
  (0.45, 0.3, 0.22),
  (0.87, 0.7, 0.6),
)
_HAIR: tuple[Color, ...] = (
  (0.12, 0.1, 0.09),
  (0.3, 0.2, 0.13),
  (0.6, 0.48, 0.3),
  (0.5, 0.5, 0.5),
)
# Beyond these distances cars and people have fewer details, metres.
_FAR_CARS, _FAR_PEOPLE = 42.0, 32.0
# Clear road before the camera, metres.
_CLEAR = 7.0


def populate(site: Site) -> None:
  """Adds all vehicles and people."""
  walks = _people_on_road(site)
  trams = _trams(site)
  for index, lane in enumerate(site.street.lanes):
    _fill_lane(site, lane, walks + trams.get(lane, []), own=index == 0)
  for side in site.street.sides:
    _park(site, side)
    _walkers(site, side)
    _parked_two_wheelers(site, side)
  _cross_traffic(site)


def _vehicle_colors(site: Site, paint: Color, trim: Color) -> tuple[Color, ...]:
  glass = site.dice.tint(_GLASS, 0.1)
  return (paint, glass, _TYRE, _HUB, _REAR, _HEAD, _PLATE, trim)


def add_car(
  site: Site, x: Number, z: Number, yaw: Number, kind: str | None = None
) -> None:
  """Adds a car or van with its middle at x, z."""
  dice = site.dice
  if kind is None:
    kind = dice.weighted(_CARS)
  size = dice.uniform(0.94, 1.06)
  paint = dice.tint(dice.pick(site.style.cars), 0.05)
  site.world.add(
    cars.car(kind, z > _FAR_CARS),
    CAR,
    (x, 0.0, z),
    _vehicle_colors(site, paint, (0.13, 0.13, 0.135)),
    yaw=yaw,
    scale=(size, dice.uniform(0.95, 1.06), size),
  )
  site.world.shadow((x, 0.0, z), yaw, 0.92 * size, 2.2 * size, 1.3)


def add_truck(site: Site, x: Number, z: Number, yaw: Number) -> None:
  """Adds a truck with its middle at x, z."""
  dice = site.dice
  kind = dice.weighted(
    {'box': 0.45, 'tarp': 0.25, 'flatbed': 0.15, 'tank': 0.15}
  )
  length = dice.pick((4.2, 5.6, 8.0))
  cab = dice.tint(dice.pick(site.style.trucks), 0.06)
  load = dice.tint(dice.pick(site.style.trucks), 0.06)
  if kind == 'tank':
    load = dice.tint((0.72, 0.73, 0.74))
  forward = (math.sin(yaw), math.cos(yaw))
  joint = (length - 2.0) / 2
  trim = dice.pick(site.style.cars)
  for mesh, paint, middle in (
    (heavy_vehicles.truck_load(kind, length), load, joint - length / 2),
    (heavy_vehicles.truck_cab(), cab, joint + 1.0),
  ):
    group = site.world.group(x + forward[0] * middle, z + forward[1] * middle)
    site.world.add(
      mesh,
      TRUCK,
      (x + forward[0] * joint, 0.0, z + forward[1] * joint),
      _vehicle_colors(site, paint, trim),
      yaw=yaw,
      group=group,
    )
  site.world.shadow((x, 0.0, z), yaw, 1.25, length / 2 + 1, 3.2)


def add_bus(site: Site, x: Number, z: Number, yaw: Number) -> None:
  """Adds a bus with its middle at x, z."""
  dice = site.dice
  decks = 2 if site.style.drive_side < 0 and dice.chance(0.5) else 1
  paint = dice.tint(dice.pick(site.style.buses), 0.05)
  trim = dice.tint(dice.pick(site.style.buses), 0.05)
  colors = list(_vehicle_colors(site, paint, trim))
  colors[cars.PLATE] = _AMBER
  site.world.add(heavy_vehicles.bus(decks), BUS, (x, 0.0, z), colors, yaw=yaw)
  site.world.shadow((x, 0.0, z), yaw, 1.3, 5.5, 3.0)


def _person_colors(site: Site, helmet: bool = False) -> tuple[Color, ...]:
  dice = site.dice
  hair = dice.pick(_CLOTHES if helmet else _HAIR)
  return (
    dice.tint(dice.pick(_CLOTHES), 0.1),
    dice.tint(dice.pick(_TROUSERS), 0.1),
    dice.tint(dice.pick(_SKIN), 0.05),
    dice.tint(hair, 0.08),
    dice.tint(dice.pick(_CLOTHES), 0.1),
    (0.1, 0.09, 0.09),
  )


def add_person(site: Site, x: Number, z: Number, yaw: Number) -> None:
  """Adds a person who walks."""
  dice = site.dice
  tall = dice.uniform(0.9, 1.08) if dice.chance(0.9) else 0.68
  site.world.add(
    people.walker(
      dice.below(people.PHASES), dice.pick(people.FIGURES), z > _FAR_PEOPLE
    ),
    PERSON,
    (x, 0.0, z),
    _person_colors(site),
    yaw=yaw,
    scale=(tall, tall, tall),
  )
  site.world.shadow((x, 0.0, z), yaw, 0.22, 0.22, 1.6 * tall)


def add_two_wheeler(
  site: Site, kind: str, x: Number, z: Number, yaw: Number, ridden: bool
) -> None:
  """Adds a 'bicycle' or 'motorcycle', with a rider or parked."""
  dice = site.dice
  group = site.world.group(x, z)
  paint = dice.tint(dice.pick(site.style.cars), 0.1)
  mesh = people.bicycle() if kind == 'bicycle' else people.motorcycle()
  site.world.add(
    mesh,
    BICYCLE if kind == 'bicycle' else MOTORCYCLE,
    (x, 0.0, z),
    (paint, _TYRE, (0.45, 0.45, 0.47), _REAR, _HEAD),
    yaw=yaw,
    scale=(1.08, 1.08, 1.08),
    group=group,
  )
  if ridden:
    site.world.add(
      people.rider(kind, dice.below(people.PHASES)),
      RIDER,
      (x, 0.0, z),
      _person_colors(site, helmet=kind == 'motorcycle' or dice.chance(0.4)),
      yaw=yaw,
      scale=(1.08, 1.08, 1.08),
      group=group,
      layer=4,
    )
  site.world.shadow((x, 0.0, z), yaw, 0.25, 0.9, 1.2)


def _trams(site: Site) -> dict[Lane, list[tuple[float, float]]]:
  """Puts a tram on the rails; returns the spans it takes in its lane."""
  street, dice = site.street, site.dice
  if not street.rails:
    return {}
  inner = sorted(street.lanes, key=lambda lane: abs(lane.offset))[:2]
  lane = dice.pick(inner)
  sections = 2 + dice.below(3)
  start = dice.uniform(13.0, 34.0)
  colors = tram_colors(site, dice.tint(dice.pick(site.style.trams), 0.05))
  for i in range(sections):
    x, z, yaw = street.place(lane.offset, start + 9.0 * i + 4.5)
    end = -1 if i == 0 else (1 if i == sections - 1 else 0)
    if lane.direction < 0:
      end = -end
      yaw += math.pi
    site.world.add(
      heavy_vehicles.tram_section(end), TRAIN, (x, 0.0, z), colors, yaw=yaw
    )
    site.world.shadow((x, 0.0, z), yaw, 1.3, 4.5, 3.3)
  return {lane: [(start - 3.0, start + 9.0 * sections + 3.0)]}


def _fill_lane(site: Site, lane: Lane, taken: list[Span], own: bool) -> None:
  """Lets vehicles drive on a lane."""
  dice, style = site.dice, site.style
  gap = dice.uniform(6.0, 32.0) * style.traffic
  z = (_CLEAR if own else 3.0) + gap * dice.random()
  while z < 82:
    kind = dice.weighted(style.vehicles)
    length = {'car': 4.6, 'truck': 9.0, 'bus': 11.2}.get(kind, 2.2)
    middle = z + length / 2
    busy = any(a < z + length and z < b for a, b in taken)
    if not busy:
      sway = dice.uniform(-0.25, 0.25)
      if kind == 'bicycle':
        outer = max(abs(one.offset) for one in site.street.lanes)
        if abs(lane.offset) < outer:
          sway = 0.0
        else:
          sway = math.copysign(dice.uniform(0.6, 1.2), lane.offset)
      x, z_world, yaw = site.street.place(lane.offset + sway, middle)
      if lane.direction < 0:
        yaw += math.pi
      _drive(site, kind, x, z_world, yaw)
    z += length + 3.0 + gap * dice.uniform(0.6, 1.4)


def _drive(site: Site, kind: str, x: Number, z: Number, yaw: Number) -> None:
  """Adds one moving vehicle."""
  if kind == 'car':
    add_car(site, x, z, yaw)
  elif kind == 'truck':
    add_truck(site, x, z, yaw)
  elif kind == 'bus':
    add_bus(site, x, z, yaw)
  else:
    add_two_wheeler(site, kind, x, z, yaw, ridden=True)


def _park(site: Site, side: Side) -> None:
  """Fills the parking lane, if there is one."""
  dice, style = site.dice, site.style
  if side.kerb - side.lanes_end < 1.5:
    return
  offset = side.sign * (side.lanes_end + side.kerb) / 2
  z = dice.uniform(2.0, 9.0)
  odds = style.parked * dice.uniform(0.4, 1.3)
  while z < 65:
    if dice.chance(odds) and not site.blocked(z - 3, z + 3, 3.0):
      x, z_world, yaw = site.street.place(offset, z)
      if side.sign != style.drive_side and dice.chance(0.8):
        yaw += math.pi
      if dice.chance(0.06):
        add_truck(site, x, z_world + 2.0, yaw)
        z += 6.0
      else:
        add_car(site, x, z_world, yaw + dice.uniform(-0.03, 0.03))
    z += dice.uniform(5.3, 6.6)


def _walkers(site: Site, side: Side) -> None:
  """Puts people on a sidewalk, some in pairs."""
  dice = site.dice
  low, high = side.walk[0] + 0.35, side.walk[1] - 0.35
  count = int(site.style.people * dice.uniform(0.1, 1.6))
  for _ in range(count):
    # More of them near the camera than evenly spread ones would be.
    z = 6.0 + 54.0 * dice.random() ** 1.4
    away = dice.chance(0.5)
    for i in range(1 + dice.chance(0.3)):
      x, z_world, yaw = site.spot(
        side, min(dice.uniform(low, high) + 0.6 * i, high + 0.2), z + 0.2 * i
      )
      turn = yaw + (0.0 if away else math.pi) + dice.uniform(-0.4, 0.4)
      add_person(site, x, z_world, turn)


def _parked_two_wheelers(site: Site, side: Side) -> None:
  """Leaves bicycles and motorcycles on the sidewalk."""
  dice = site.dice
  for kind, odds in (('bicycle', 0.42), ('motorcycle', 0.22)):
    if not dice.chance(odds):
      continue
    z = dice.uniform(6.0, 30.0)
    by_road = dice.chance(0.4)
    distance = side.walk[0] + 0.5 if by_road else side.walk[1] - 0.4
    for i in range(1 + dice.below(4)):
      x, z_world, yaw = site.spot(side, distance, z + 1.0 * i)
      turn = yaw + (math.pi / 2 if by_road else dice.uniform(-0.2, 0.2))
      add_two_wheeler(site, kind, x, z_world, turn, ridden=False)
      if not by_road:
        z += 1.2


def _cross_traffic(site: Site) -> None:
  """Adds vehicles on the crossing street."""
  dice, street = site.dice, site.street
  if street.crossing is None:
    return
  middle, half = street.crossing
  for lane, heading in ((-0.5, 1), (0.5, -1)):
    if not dice.chance(0.55):
      continue
    z = middle + lane * half * site.style.drive_side
    offset = dice.uniform(-16.0, 16.0)
    if abs(offset) < 7.0 and middle < 22:
      offset = math.copysign(12.0, offset)
    x = street.middle(z) + offset
    kind = dice.weighted(site.style.vehicles)
    _drive(site, kind, x, z, heading * math.pi / 2)


def _people_on_road(site: Site) -> list[tuple[float, float]]:
  """Lets people cross; returns the spans that vehicles keep clear."""
  dice, street = site.dice, site.street
  places = [z for z in street.zebra if dice.chance(0.6)]
  if dice.chance(0.15):
    places.append(dice.uniform(12.0, 40.0))
  for z in places:
    for _ in range(1 + dice.below(3)):
      offset = dice.uniform(-street.sides[0].kerb, street.sides[1].kerb)
      x, z_world, yaw = street.place(offset, z + dice.uniform(-1.0, 1.0))
      add_person(site, x, z_world, yaw + dice.pick((-1, 1)) * math.pi / 2)
  return [(z - 2.0, z + 2.0) for z in [*places, *street.zebra]]
