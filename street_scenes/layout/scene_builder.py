"""The building site: what is being drawn, and small jobs all trades share."""

from __future__ import annotations

import dataclasses
import math

import numpy as np

from street_scenes.colors import brightened, shaded
from street_scenes.geometry.mesh import Mesh
from street_scenes.geometry.world import WorldBuilder
from street_scenes.layout.street import Side, Street
from street_scenes.layout.styles import CityStyle
from street_scenes.objects import plants
from street_scenes.objects.buildings import Facade
from street_scenes.random_choices import Dice
from street_scenes.types import Color, Number, Span

# trainIds of what stands on the ground.
WALK, BUILDING, WALL, FENCE, POLE, SIGNAL, SIGN = 1, 2, 3, 4, 5, 6, 7
VEGETATION, TERRAIN, SKY, PERSON, RIDER = 8, 9, 10, 11, 12
CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = 13, 14, 15, 16, 17, 18

# Bins of the skyline: one a metre, from this z.
SKYLINE_START = -20
SKYLINE_BINS = 260

# Beyond this distance objects are drawn with fewer parts.
FAR = 48.0


@dataclasses.dataclass(eq=False)
class Site:
  """A street under construction.

  Attributes:
    dice: decides.
    style: the city.
    street: the ground.
    world: the objects so far.
    facades: the facade table so far.
    skyline: float32 [2, bins], height of what stands beside the street on the
      left and on the right, for shadows.
    leaves: colour of this street's leaves.
  """

  dice: Dice
  style: CityStyle
  street: Street
  world: WorldBuilder
  facades: list[Facade]
  skyline: np.ndarray
  leaves: Color

  def blocked(self, z0: Number, z1: Number, margin: Number = 2.8) -> bool:
    """Returns whether the crossing street takes part of z0..z1."""
    if self.street.crossing is None:
      return False
    middle, half = self.street.crossing
    return z0 < middle + half + margin and z1 > middle - half - margin

  def spot(
    self, side: Side, distance: Number, z: Number
  ) -> tuple[float, float, float]:
    """Returns x, z and yaw at a distance from the middle, on a side."""
    return self.street.place(side.sign * distance, z)

  def raise_skyline(
    self, side: Side, z0: Number, z1: Number, height: Number
  ) -> None:
    """Notes the height of what stands from z0 to z1."""
    row = self.skyline[(side.sign + 1) // 2]
    bins = slice(
      max(int(z0) - SKYLINE_START, 0), max(int(z1) - SKYLINE_START, 0)
    )
    np.maximum(row[bins], height, out=row[bins])

  def run(
    self, side: Side, distance: Number, z0: Number, z1: Number
  ) -> tuple[float, float, float, float]:
    """Lays a piece along the street that turns its -x to the street.

    Args:
      side: side of the street.
      distance: from the middle of the street, metres.
      z0, z1: span along the street.

    Returns:
      World x and z of its start, yaw and length.
    """
    start = self.spot(side, distance, z0)
    end = self.spot(side, distance, z1)
    if side.sign < 0:
      start, end = end, start
    dx, dz = end[0] - start[0], end[1] - start[1]
    return start[0], start[1], math.atan2(dx, dz), math.hypot(dx, dz)

  def pieces(
    self,
    mesh: Mesh,
    label: int,
    side: Side,
    distance: Number,
    span: Span,
    height: Number,
    colors: tuple[Color, ...],
    *,
    length: Number = 4.0,
    depth: Number = 1.0,
    base: Number = 0.0,
    style: int = 0,
    layer: int = 0,
  ) -> None:
    """Builds a long thing of short pieces, so that it is painted in order.

    Args:
      mesh: a piece from z = 0 to 1 whose street side is -x.
      label: trainId or 255.
      side: side of the street.
      distance: from the middle of the street, metres.
      span: start and end along the street.
      height: factor on y.
      colors: of the slots.
      length: of a piece, about.
      depth: factor on x.
      base: height of its foot.
      style: row of the facade table.
      layer: added to the shape's layers.
    """
    z0, z1 = span
    count = max(round((z1 - z0) / length), 1)
    step = (z1 - z0) / count
    for i in range(count):
      a = z0 + i * step
      x, z, yaw, run = self.run(side, distance, a, a + step)
      middle = self.spot(side, distance, a + step / 2)
      shift = i * step if side.sign > 0 else (count - 1 - i) * step
      self.world.add(
        mesh,
        label,
        (x, base, z),
        colors,
        yaw=yaw,
        scale=(depth, height, run),
        group=self.world.group(middle[0], middle[1]),
        shift=shift,
        style=style,
        layer=layer,
      )

  def leaf_colors(self) -> tuple[Color, ...]:
    """Returns the colours of one plant."""
    leaf = self.dice.tint(self.leaves, 0.08)
    bark = self.dice.tint((0.33, 0.27, 0.22))
    return bark, brightened(leaf, 1.25, 0.03), leaf, shaded(leaf, 0.68)

  def tree(
    self, x: Number, z: Number, size: Number = 1.0, kind: str | None = None
  ) -> None:
    """Plants a tree."""
    dice = self.dice
    if kind is None:
      kind = dice.weighted(self.style.trees)
    detail = 18 if z < 25 else (11 if z < FAR else 5)
    mesh = plants.tree(kind, dice.below(plants.VARIANTS), detail)
    wide = size * dice.uniform(0.85, 1.15)
    tall = size * dice.uniform(0.85, 1.2)
    self.world.add(
      mesh,
      VEGETATION,
      (x, 0.0, z),
      self.leaf_colors(),
      yaw=dice.uniform(0, 6.3),
      scale=(wide, tall, wide),
    )
    if z < 90:
      reach = {'palm': 1.6, 'tall': 1.2, 'conifer': 1.2}.get(kind, 2.0)
      self.world.shadow(
        (x, 0.0, z), 0.0, 0.7 * wide * reach, 0.7 * wide * reach, 6.0 * tall
      )
