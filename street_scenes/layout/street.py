"""The ground: where the street runs and what covers each square metre."""

from __future__ import annotations

import dataclasses
import enum
import functools

import numpy as np

from street_scenes.layout.styles import CityStyle
from street_scenes.random_choices import Dice
from street_scenes.types import Number


class Ground(enum.IntEnum):
  """What covers the ground."""

  ROAD = 0
  WALK = 1
  GRASS = 2
  DIRT = 3
  BALLAST = 4  # of a railway
  KERB = 5
  LOT = 6  # beside the street: looked up along the street


# trainId of each `Ground`; ballast is Cityscapes' "rail track", not evaluated.
GROUND_LABELS = np.array([0, 1, 9, 9, 255, 1, 9], np.uint8)

# Beyond this distance the street is straight.
_STRAIGHT = 150.0
# Look-up tables: cells of 2.5 cm across and 0.25 m along the street.
_ACROSS = 40.0
_PER_METRE = 40
_ALONG = (-20.0, 236.0)
_ALONG_PER_METRE = 4


@dataclasses.dataclass(frozen=True)
class Lane:
  """One lane.

  Attributes:
    offset: of its middle from the middle of the street, metres to the right.
    direction: +1 = away from the camera, -1 = towards it.
  """

  offset: float
  direction: int


@dataclasses.dataclass(frozen=True)
class Side:
  """One side of the street. Distances from the middle, metres, positive.

  Attributes:
    sign: +1 = right, -1 = left.
    lanes_end: outer edge of the lanes.
    kerb: outer edge of the road; beyond `lanes_end` there is parking.
    walk: span of the sidewalk. Between kerb and walk there is grass.
    zones: (start, end, kind) along the street; see `blocks.py`.
  """

  sign: int
  lanes_end: float
  kerb: float
  walk: tuple[float, float]
  zones: tuple[tuple[float, float, str], ...]


@dataclasses.dataclass(frozen=True)
class Street:
  """A street along z.

  Attributes:
    bend: its middle is x = bend[0] z^2 + bend[1] z^3.
    sides: left and right.
    lanes: all lanes, the camera's first.
    crossing: (z, half width) of a crossing street, or None.
    zebra: z of the middle of zebra crossings.
    rails: offsets of tram rails.
    centre_dashed: whether the line between the directions is dashed.
  """

  bend: tuple[float, float]
  sides: tuple[Side, Side]
  lanes: tuple[Lane, ...]
  crossing: tuple[float, float] | None
  zebra: tuple[float, ...]
  rails: tuple[float, ...]
  centre_dashed: bool

  def middle(self, z: Number) -> float:
    """Returns x of the middle of the street at z."""
    return self.place(0.0, z)[0]

  def place(self, offset: Number, z: Number) -> tuple[float, float, float]:
    """Returns world x, z and the street's direction (yaw) at an offset."""
    near = min(z, _STRAIGHT)
    first, second = self.bend
    slope = (2 * first + 3 * second * near) * near
    x = (first + second * near) * near * near + (z - near) * slope
    return (
      x + offset * (1 + slope * slope) ** 0.5,
      z,
      float(np.arctan(slope)),
    )

  def offset(self, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Returns the distance to the right of the middle, inverse of `place`."""
    near = np.minimum(z, _STRAIGHT)
    slope = near * (2 * self.bend[0] + (3 * self.bend[1]) * near)
    middle = near * near * (self.bend[0] + self.bend[1] * near)
    middle += (z - near) * slope
    return (x - middle) / np.sqrt(1 + slope * slope)

  @functools.cached_property
  def profile(self) -> np.ndarray:
    """int32 [cells], `Ground` across the street; see `across`."""
    cells = np.full(int(2 * _ACROSS * _PER_METRE), int(Ground.LOT), np.int32)
    left, right = self.sides

    def fill(low: Number, high: Number, ground: Ground) -> None:
      cells[across(np.float32(low)) : across(np.float32(high))] = int(ground)

    fill(-left.walk[1], -left.walk[0], Ground.WALK)
    fill(right.walk[0], right.walk[1], Ground.WALK)
    fill(-left.walk[0], -left.kerb, Ground.GRASS)
    fill(right.kerb, right.walk[0], Ground.GRASS)
    fill(-left.kerb - 0.18, -left.kerb, Ground.KERB)
    fill(right.kerb, right.kerb + 0.18, Ground.KERB)
    fill(-left.kerb, right.kerb, Ground.ROAD)
    return cells

  @functools.cached_property
  def lots(self) -> tuple[np.ndarray, np.ndarray]:
    """int32 [cells] of left and right, `Ground` of the lots; see `along`."""
    return self._lots(-1), self._lots(1)

  def _lots(self, sign: int) -> np.ndarray:
    cells = np.full(
      int((_ALONG[1] - _ALONG[0]) * _ALONG_PER_METRE),
      int(Ground.GRASS),
      np.int32,
    )
    for start, end, kind in self.sides[(sign + 1) // 2].zones:
      ground = {
        'block': Ground.WALK,
        'yard': Ground.DIRT,
        'rail': Ground.BALLAST,
      }.get(kind, Ground.GRASS)
      cells[along(np.float32(start)) : along(np.float32(end))] = int(ground)
    return cells


def across(offset: np.ndarray | np.floating) -> np.ndarray | np.integer:
  """Returns the cell of an offset from the middle of the street."""
  cell = (offset + _ACROSS) * _PER_METRE
  last = 2 * _ACROSS * _PER_METRE - 1
  return np.minimum(np.maximum(cell, 0), last).astype(np.int32)


def along(z: np.ndarray | np.floating) -> np.ndarray | np.integer:
  """Returns the cell of a distance along the street."""
  cell = (z - _ALONG[0]) * _ALONG_PER_METRE
  last = (_ALONG[1] - _ALONG[0]) * _ALONG_PER_METRE - 1
  return np.minimum(np.maximum(cell, 0), last).astype(np.int32)


def ground_at(street: Street, offset: np.ndarray, z: np.ndarray) -> np.ndarray:
  """Returns what covers the ground.

  Args:
    street: the street.
    offset: float32 [n], metres right of the street's middle.
    z: float32 [n], metres along the street.

  Returns:
    int32 [n], values of `Ground` without LOT.
  """
  ground = street.profile.take(across(offset))
  at = np.flatnonzero(ground == Ground.LOT)
  row = along(z[at])
  ground[at] = np.where(
    offset[at] > 0, street.lots[1].take(row), street.lots[0].take(row)
  )
  if street.crossing is None:
    return ground
  middle, half = street.crossing
  distance = np.abs(z - middle)
  at = np.flatnonzero(distance < half + 2.6)
  distance, beside = distance[at], offset[at]
  beside = (beside > street.sides[1].kerb) | (beside < -street.sides[0].kerb)
  part = ground[at]
  part[beside] = Ground.WALK
  part[beside & (distance < half + 0.18)] = Ground.KERB
  part[distance < half] = Ground.ROAD
  ground[at] = part
  return ground


def sample_street(dice: Dice, style: CityStyle) -> Street:
  """Draws a street.

  Args:
    dice: decides.
    style: the city.

  Returns:
    The street with its zones; nothing stands on it yet.
  """
  per_side = dice.weighted(style.lanes)
  lane_width = dice.span(style.lane_width)
  tram = dice.chance(style.tram)
  keep = style.drive_side
  lanes = []
  for i in range(per_side):
    offset = (i + 0.5) * lane_width
    lanes.append(Lane(keep * offset, 1))
    lanes.append(Lane(-keep * offset, -1))
  lanes.insert(0, lanes.pop(2 * dice.below(per_side)))
  crossing = None
  zebra: tuple[float, ...] = ()
  if dice.chance(0.55):
    half = dice.uniform(3.5, 5.5)
    middle = dice.uniform(16.0, 60.0)
    crossing = (middle, half)
    zebra = (middle - half - 4.5,) if dice.chance(0.75) else ()
  elif dice.chance(0.3):
    zebra = (dice.uniform(10.0, 40.0),)
  turn = style.bend * dice.uniform(-1, 1) * (0.4 if dice.chance(0.5) else 1)
  rails: tuple[float, ...] = ()
  if tram:
    # Rails in the innermost lane of both directions.
    rails = tuple(
      side * lane_width / 2 + gauge
      for side in (-1, 1)
      for gauge in (-0.72, 0.72)
    )
  half = per_side * lane_width
  # From left to right: both draw from the same dice.
  left = _sample_side(dice, style, -1, half)
  right = _sample_side(dice, style, 1, half)
  return Street(
    bend=(turn / 2, dice.uniform(-0.3, 0.3) * style.bend / _STRAIGHT),
    sides=(left, right),
    lanes=tuple(lanes),
    crossing=crossing,
    zebra=zebra,
    rails=rails,
    centre_dashed=dice.chance(0.6),
  )


def _sample_side(
  dice: Dice, style: CityStyle, sign: int, lanes_end: Number
) -> Side:
  """Draws parking, verge, sidewalk and zones of one side."""
  kerb = lanes_end + (dice.uniform(2.1, 2.4) if dice.chance(0.5) else 0.25)
  verge = dice.uniform(1.0, 2.2) if dice.chance(0.3) else 0.0
  walk = kerb + verge
  zones = []
  z = -12.0
  kind = ''
  while z < 110:
    odds = dict(style.zones)
    if kind != 'block':  # two zones of one kind only for buildings
      odds.pop(kind, None)
    kind = dice.weighted(odds)
    length = dice.uniform(18, 45) * (1.5 if kind == 'block' else 1.0)
    zones.append((z, z + length, kind))
    z += length
  return Side(
    sign=sign,
    lanes_end=lanes_end,
    kerb=kerb,
    walk=(walk, walk + dice.span(style.walk_width)),
    zones=tuple(zones),
  )
