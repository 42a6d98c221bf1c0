"""Shapes of trees, hedges and bushes.

Slots: 0 bark, 1 leaves in the light, 2 leaves, 3 leaves in the shade.
"""

from __future__ import annotations

import functools
import math

from street_scenes.geometry.mesh import Material, Mesh, MeshMaker
from street_scenes.random_choices import Dice
from street_scenes.types import Number, Span

BARK, LIGHT, LEAVES, SHADE = range(4)

KINDS = ('round', 'tall', 'conifer', 'palm', 'bare')
VARIANTS = 5


def _crown(
  maker: MeshMaker,
  dice: Dice,
  height: Span,
  radius: Number,
  count: int,
) -> None:
  """Adds balls of leaves within an egg between two heights."""
  low, high = height
  middle, half = (low + high) / 2, (high - low) / 2
  size = 1.45 / count**0.33
  maker.use(SHADE, Material.LEAF, 1)
  maker.capsule(
    (0, low + 0.35 * half, 0),
    (0, high - 0.5 * half, 0),
    radius * 0.75,
    radius * 0.6,
  )
  for i in range(count):
    # Even over the height, the angle by the golden ratio: no holes.
    level = -0.92 + 1.84 * (i + 0.5) / count
    angle = 2.4 * i + dice.uniform(-0.5, 0.5)
    reach = radius * math.sqrt(1 - level**2) * dice.uniform(0.6, 0.85)
    slot = LEAVES if abs(level) < 0.35 else (LIGHT if level > 0 else SHADE)
    maker.use(slot, Material.LEAF, 1)
    maker.ball(
      (
        reach * math.cos(angle),
        middle + level * half * 0.85,
        reach * math.sin(angle),
      ),
      radius * size * dice.uniform(0.45, 0.7),
    )


def _broadleaf(maker: MeshMaker, dice: Dice, tall: bool, count: int) -> None:
  trunk = dice.uniform(1.8, 2.6)
  maker.use(BARK, Material.CLOTH)
  maker.capsule((0, 0, 0), (0, trunk + 1.2, 0), 0.2, 0.13)
  for angle in (0.5, 2.6, 4.6):
    maker.capsule(
      (0, trunk, 0),
      (0.8 * math.cos(angle), trunk + 1.5, 0.8 * math.sin(angle)),
      0.1,
      0.05,
    )
  if tall:
    _crown(maker, dice, (1.2, 9.5), dice.uniform(1.1, 1.5), count + 6)
  else:
    height = trunk + dice.uniform(3.6, 4.8)
    _crown(maker, dice, (trunk, height), dice.uniform(1.9, 2.6), count)


def _conifer(maker: MeshMaker, dice: Dice, count: int) -> None:
  maker.use(BARK, Material.CLOTH)
  maker.capsule((0, 0, 0), (0, 2.0, 0), 0.18, 0.15)
  levels = max(count // 3, 4)
  height, radius = dice.uniform(7.0, 10.0), dice.uniform(1.5, 2.0)
  for i in range(levels):
    low = 0.9 + (height - 1.2) * i / levels
    wide = radius * (1 - 0.82 * i / levels)
    slot = (SHADE, LEAVES, LIGHT)[min(3 * i // levels, 2)]
    maker.use(slot, Material.LEAF, 1 + i)
    maker.capsule((0, low, 0), (0, low + 1.7 * height / levels, 0), wide, 0.12)


def _palm(maker: MeshMaker, dice: Dice) -> None:
  top = dice.uniform(5.0, 8.0)
  bend = dice.uniform(-0.5, 0.5)
  maker.use(BARK, Material.CLOTH)
  maker.capsule((0, 0, 0), (bend * 0.4, top * 0.55, 0), 0.2, 0.15)
  maker.capsule((bend * 0.4, top * 0.55, 0), (bend, top, 0), 0.15, 0.13)
  for i in range(11):
    angle = 2 * math.pi * i / 11 + dice.uniform(-0.2, 0.2)
    rise = dice.uniform(0.1, 0.9)
    x, z = math.cos(angle), math.sin(angle)
    slot = (LIGHT, LEAVES, SHADE)[i % 3]
    maker.use(slot, Material.LEAF, 1)
    previous = (bend, top, 0.0)
    for reach, y, size in ((1.1, rise, 0.3), (2.1, rise - 0.9, 0.16)):
      tip = (bend + reach * x, top + y, reach * z)
      maker.capsule(previous, tip, size * 0.8, size)
      previous = tip


def _bare(maker: MeshMaker, dice: Dice, count: int) -> None:
  """Adds a tree in winter."""
  trunk = dice.uniform(2.0, 3.0)
  maker.use(BARK, Material.CLOTH)
  maker.capsule((0, 0, 0), (0, trunk, 0), 0.2, 0.14)
  for i in range(count // 2):
    angle, rise = 2.4 * i, dice.uniform(1.5, 3.5)
    reach = dice.uniform(0.5, 1.6)
    x, z = reach * math.cos(angle), reach * math.sin(angle)
    maker.capsule((0, trunk - 0.3, 0), (x, trunk + rise, z), 0.09, 0.03)
    maker.capsule(
      (x * 0.6, trunk + rise * 0.6, z * 0.6),
      (x * 1.5, trunk + rise * 1.1, z * 0.7),
      0.05,
      0.02,
    )


@functools.cache
def tree(kind: str, variant: int, detail: int = 18) -> Mesh:
  """Returns a tree.

  Args:
    kind: one of `KINDS`.
    variant: 0 .. VARIANTS - 1.
    detail: balls of leaves; fewer for trees far away.
  """
  dice = Dice(KINDS.index(kind), variant)
  maker = MeshMaker()
  if kind == 'conifer':
    _conifer(maker, dice, detail)
  elif kind == 'palm':
    _palm(maker, dice)
  elif kind == 'bare':
    _bare(maker, dice, detail)
  else:
    _broadleaf(maker, dice, kind == 'tall', detail)
  return maker.build()


@functools.cache
def hedge(variant: int) -> Mesh:
  """Returns a piece of hedge from z = 0 to 1, for 3 m, 1.2 m high."""
  dice = Dice(50, variant)
  maker = MeshMaker()
  maker.use(LEAVES, Material.LEAF, 0)
  maker.box((-0.4, 0.4), (0.0, 1.05), (0.0, 1.0))
  for i in range(5):
    maker.use((LEAVES, LIGHT)[i % 2], Material.LEAF, 1)
    maker.ball(
      (dice.uniform(-0.2, 0.2), dice.uniform(0.8, 1.0), 0.1 + 0.2 * i), 0.36
    )
  return maker.build()


@functools.cache
def bush(variant: int) -> Mesh:
  """Returns a bush of about 1 m."""
  dice = Dice(60, variant)
  maker = MeshMaker()
  for i in range(6):
    angle = 1.05 * i
    maker.use((SHADE, LEAVES, LIGHT)[i % 3], Material.LEAF, 0)
    maker.ball(
      (
        0.45 * math.cos(angle),
        0.3 + 0.25 * (i % 3),
        0.45 * math.sin(angle),
      ),
      dice.uniform(0.35, 0.5),
    )
  return maker.build()


@functools.cache
def clump(variant: int) -> Mesh:
  """Returns trees that have grown together, 9 m wide and 7 m high."""
  dice = Dice(70, variant)
  maker = MeshMaker()
  for i, (x, y, size) in enumerate(
    ((-3, 1.6, 2.2), (3, 1.8, 2.3), (0, 2.6, 2.8), (-2, 4.6, 2.2), (1.8, 5, 2))
  ):
    maker.use((SHADE, SHADE, LEAVES, LIGHT, LIGHT)[i], Material.LEAF, i // 3)
    shift = dice.uniform(-0.7, 0.7)
    maker.ball((x + shift, y + shift, shift), size * dice.uniform(0.85, 1.15))
  return maker.build()


@functools.cache
def hill() -> Mesh:
  """Returns the outline of a hill, 2 m wide and 1 m high. Slot 0."""
  maker = MeshMaker()
  maker.use(0, Material.GRASS)
  angles = [math.pi * i / 14 for i in range(15)]
  maker.polygon(
    [(math.cos(a), math.sin(a), 0.0) for a in angles], (0.0, 0.0, -1.0)
  )
  return maker.build()
