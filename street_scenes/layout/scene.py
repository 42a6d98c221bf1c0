"""A scene: a street with everything on it, seen from nowhere yet."""

from __future__ import annotations

import dataclasses

import numpy as np

from street_scenes.colors import shaded
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.raster import Bonnet
from street_scenes.geometry.world import World, WorldBuilder
from street_scenes.layout import blocks, roadside, traffic
from street_scenes.layout.scene_builder import (
  BUILDING,
  SKYLINE_BINS,
  TERRAIN,
  VEGETATION,
  Site,
)
from street_scenes.layout.street import Street, sample_street
from street_scenes.layout.styles import CityStyle
from street_scenes.objects import buildings, plants
from street_scenes.random_choices import Dice
from street_scenes.types import Color, Number

# Purposes of the streams of random decisions of one scene.
_STREET, _FILL, _CAMERA = range(3)
# Where the far end of the street begins, metres.
_END = 112.0


@dataclasses.dataclass(frozen=True)
class GroundLook:
  """Colours of the ground, 0..1.

  Attributes:
    asphalt, paving, grass, centre_line: base colours.
    tile: size of the sidewalk's slabs, metres.
    worn: 0..1, how worn asphalt and lines are.
  """

  asphalt: Color
  paving: Color
  grass: Color
  centre_line: Color
  tile: float
  worn: float


@dataclasses.dataclass(frozen=True)
class Scene:
  """All that stands and drives on one street; the time stands still.

  Camera and weather are not part of it: any number of cameras can look at one
  scene (`render`), as long as they look along the street (towards +z).

  Attributes:
    street: the ground's layout.
    look: the ground's colours.
    world: everything above the ground.
    facades: float32 [18 n], see `buildings.facade_table`.
    skyline: float32 [2, bins], height of what stands along both sidewalks.
    haze: colour cast, factors on red, green and blue.
    number: seeds the textures.
  """

  street: Street
  look: GroundLook
  world: World
  facades: np.ndarray
  skyline: np.ndarray
  haze: Color
  number: int


def sample_scene(style: CityStyle, *key: int) -> Scene:
  """Draws a scene.

  Args:
    style: the city.
    key: non-negative integers; the same key gives the same scene.

  Returns:
    The scene.
  """
  dice = Dice(*key, _FILL)
  street = sample_street(Dice(*key, _STREET), style)
  site = Site(
    dice=dice,
    style=style,
    street=street,
    world=WorldBuilder(),
    facades=[],
    skyline=np.zeros((2, SKYLINE_BINS), np.float32),
    leaves=dice.pick(style.leaves),
  )
  look = GroundLook(
    asphalt=dice.tint(dice.pick(style.asphalt), 0.05),
    paving=dice.tint(dice.pick(style.paving), 0.05),
    grass=dice.tint(dice.pick(style.grass), 0.06),
    centre_line=style.centre_line,
    tile=dice.pick((0.5, 0.8, 1.2)),
    worn=dice.random(),
  )
  blocks.build_sides(site)
  _far_end(site)
  roadside.furnish(site)
  traffic.populate(site)
  return Scene(
    street=street,
    look=look,
    world=site.world.build(),
    facades=buildings.facade_table(site.facades),
    skyline=site.skyline,
    haze=style.haze,
    number=dice.below(1 << 30),
  )


def sample_camera(
  style: CityStyle, scene: Scene, *key: int
) -> tuple[Camera, Bonnet]:
  """Draws the camera of a car on the scene's street.

  Args:
    style: the city.
    scene: the scene.
    key: non-negative integers; the same key gives the same camera.

  Returns:
    The camera and the part of its picture that its own car hides.
  """
  dice = Dice(*key, _CAMERA)
  lane = scene.street.lanes[0]
  camera = Camera(
    position=(
      lane.offset + dice.uniform(-0.35, 0.35),
      dice.span(style.camera_height),
      0.0,
    ),
    yaw=dice.uniform(-0.05, 0.05) + 12 * scene.street.bend[0],
    pitch=dice.span(style.camera_pitch),
    roll=dice.uniform(-0.015, 0.015),
    focal=dice.span(style.camera_focal),
  )
  height = dice.uniform(0.05, 0.13) if dice.chance(style.bonnet) else 0.0
  return camera, Bonnet(height=height, curve=dice.uniform(0.03, 0.09))


def _far_end(site: Site) -> None:
  """Closes the view at the end of the street."""
  dice, street = site.dice, site.street
  for side in street.sides:
    z = _END
    while z < 260:
      depth = dice.uniform(18.0, 40.0)
      x, z_world, _ = site.spot(side, side.walk[1] + 8.0, z)
      if dice.chance(0.6):
        _far_block(site, x - 10.0, z_world, dice.uniform(7.0, 22.0))
      else:
        _far_trees(site, x, z_world)
      z += depth
  end_x = street.middle(380.0)
  x = end_x - 330.0
  while x < end_x + 330:
    kind = dice.weighted({'block': 0.45, 'trees': 0.45, 'open': 0.1})
    z = dice.uniform(330.0, 420.0)
    if kind == 'block':
      _far_block(site, x, z, dice.uniform(8.0, 34.0))
    elif kind == 'trees':
      _far_trees(site, x, z)
    x += dice.uniform(18.0, 34.0)
  if dice.chance(0.5):
    _hills(site, end_x)


def _far_block(site: Site, x: Number, z: Number, height: Number) -> None:
  color = site.dice.tint(site.dice.pick(site.style.plaster), 0.08)
  site.world.add(
    buildings.block(),
    BUILDING,
    (x, 0.0, z),
    (shaded(color, 0.85),),
    scale=(site.dice.uniform(14, 26), height, 12.0),
  )


def _far_trees(site: Site, x: Number, z: Number) -> None:
  dice = site.dice
  for i in range(2):
    size = dice.uniform(1.4, 2.6)
    site.world.add(
      plants.clump(dice.below(plants.VARIANTS)),
      VEGETATION,
      (x + 12.0 * i - 6.0, 0.0, z + dice.uniform(-4, 4)),
      site.leaf_colors(),
      scale=(size, size * 0.8, size),
    )


def _hills(site: Site, end_x: Number) -> None:
  """Adds hills of grass or forest on the horizon."""
  dice = site.dice
  forest = dice.chance(0.5)
  color = site.leaves if forest else dice.pick(site.style.grass)
  for _ in range(3):
    height = dice.uniform(14.0, 45.0)
    site.world.add(
      plants.hill(),
      VEGETATION if forest else TERRAIN,
      (end_x + dice.uniform(-300, 300), 0.0, 700.0),
      (dice.tint(color, 0.06),),
      scale=(dice.uniform(120, 260), height, 1.0),
    )
