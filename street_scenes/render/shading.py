"""Colours of surfaces, and how much light reaches them.

Colours are three arrays, one each for red, green and blue: numpy is several
times faster on them than on an array whose last dimension is 3.
"""

from __future__ import annotations

import cv2
import numpy as np

from street_scenes.geometry import raster
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.mesh import Material
from street_scenes.geometry.polygons import FIRST
from street_scenes.geometry.raster import Fragments
from street_scenes.layout.scene import Scene
from street_scenes.layout.scene_builder import SKYLINE_BINS, SKYLINE_START
from street_scenes.render import textures
from street_scenes.render.ground_paint import paint_ground
from street_scenes.render.sample_positions import (
  Samples,
  materials,
  on_object,
)
from street_scenes.render.weather import Weather

Channels = list[np.ndarray]

_BONNET_COLOR = (0.16, 0.17, 0.19)
_WINDOW_LIGHT = (1.0, 0.78, 0.45)


def surface_colors(
  scene: Scene, s: Samples, weather: Weather
) -> tuple[Channels, Channels | None]:
  """Returns the colours of surfaces and the light they give off themselves.

  Args:
    scene: the scene.
    s: the samples.
    weather: for mirrored sky and lit windows.

  Returns:
    Reflectance, and own light (None = none), three float32 [n] each.
  """
  own = np.array([(0, 0, 0), (0, 0, 0), _BONNET_COLOR], np.float32)
  table = np.ascontiguousarray(np.concatenate([own, scene.world.color]).T)
  color = [channel.take(s.ids) for channel in table]
  kinds = materials(scene).take(s.ids)
  ground = np.flatnonzero(s.ids == raster.GROUND)
  paint_ground(scene.street, scene.look, s, ground, color)
  glow = None
  # All samples of one material after another.
  order = np.argsort((kinds + 1).astype(np.uint8), kind='stable')
  ends = np.cumsum(np.bincount(kinds + 1))
  for kind in range(len(ends) - 1):
    at = order[ends[kind] : ends[kind + 1]]
    if not at.size:
      continue
    if kind == Material.FACADE:
      lit = _paint_facades(scene, s, at, color, weather)
      if weather.lights > 0:
        glow = glow or [np.zeros_like(c) for c in color]
        for channel, warm in zip(glow, _WINDOW_LIGHT):
          channel[at] = lit * (warm * min(weather.lights, 1.0))
    elif kind == Material.LAMP:
      glow = glow or [np.zeros_like(c) for c in color]
      for channel, shown in zip(glow, color):
        channel[at] = shown[at] * (0.3 + weather.lights)
    elif kind in (Material.PAINT, Material.GLASS):
      _polish(s, kind, at, color, weather.sky_horizon)
    else:
      factor = _matt(scene, s, kind, at)
      for channel in color:
        channel[at] *= factor
  return color, glow


def _paint_facades(scene, s, at, color, weather) -> np.ndarray:
  """Paints facades; returns how much their windows shine at night."""
  along, up = on_object(scene, s, at)
  owner = scene.world.instance.take(s.ids[at] - FIRST)
  rows = scene.world.style.take(owner)
  pattern = textures.FacadePattern(
    along, up, s.footprint[at], scene.facades.take(rows, axis=1)
  )
  part = tuple(channel[at] for channel in color)
  pattern.paint(part, weather.sky_horizon)
  for channel, painted in zip(color, part):
    channel[at] = painted
  return pattern.lit(weather.window_odds)


def _polish(s, kind, at, color, sky) -> None:
  """Lets paint and glass mirror the sky, most where they face it."""
  up, y = s.up[at], s.y[at]
  if kind == Material.PAINT:
    share = 0.06 + 0.6 * np.maximum(up - 0.5, 0)
    dirt = 0.8 + 0.2 * np.minimum(y / 0.7, 1)
  else:
    share = 0.12 + 0.5 * np.maximum(up - 0.5, 0) + 0.1 * np.minimum(y / 3, 1)
    dirt = 1.0
  for channel, mirrored in zip(color, sky):
    shown = channel[at] * dirt
    channel[at] = shown + share * (mirrored - shown)


def _matt(scene, s, kind, at) -> np.ndarray:
  """Returns the factors of the pattern of a material."""
  footprint = s.footprint[at]
  if kind == Material.LEAF:
    return textures.leaves(s.x[at], s.y[at], s.z[at], footprint)
  if kind == Material.GRASS:
    return textures.grass(s.x[at] + s.y[at], s.z[at], footprint)
  if kind == Material.CLOTH:
    return 1 + 0.12 * textures.noise(18 * (s.x[at] + s.z[at]), 18 * s.y[at])
  along, up = on_object(scene, s, at)
  if kind == Material.WALL:
    return textures.masonry(along, up, footprint, 0.22, 0.6, 0.16)
  if kind == Material.BOARDS:
    return textures.boards(along, up, footprint)
  if kind == Material.ROOF:
    return textures.roof(along, up, footprint)
  return textures.plain(along, up, footprint)


def arriving_light(
  scene: Scene,
  camera: Camera,
  fragments: Fragments,
  s: Samples,
  weather: Weather,
) -> tuple[np.ndarray, np.ndarray]:
  """Finds what lies in the shade.

  Args:
    scene: the scene.
    camera: the camera.
    fragments: for the rays.
    s: the samples.
    weather: for the sun.

  Returns:
    float32 [n] light from everywhere, and float32 [n] light of the sun, as
    shares of what a surface that faces it in the open receives.
  """
  everywhere = 0.6 + 0.4 * s.up
  # The feet of things that stand on the ground are darker, so is the ground
  # around them.
  foot = 0.72 + 0.56 * np.minimum(np.maximum(s.y, 0), 0.5)
  standing = s.ids >= FIRST
  everywhere *= np.where(standing, foot, 1)
  ground = np.flatnonzero(s.ids == raster.GROUND)
  contact = _cast(scene, camera, fragments, (0.0, 1.0, 0.0), 0.12)
  everywhere[ground] *= 1 - 0.55 * contact[ground]
  if weather.sun[0] <= 0.02:
    return everywhere, np.zeros_like(everywhere)
  sun = _beside_houses(scene, s, weather.to_sun)
  cast = _cast(scene, camera, fragments, weather.to_sun, 0.0)
  sun[ground] = np.minimum(sun[ground], 1 - cast[ground])
  sun *= s.sunlit
  return everywhere, sun


def _beside_houses(scene: Scene, s: Samples, to_sun) -> np.ndarray:
  """Follows the ray to the sun up to the row of houses on its side."""
  across, rise, along = to_sun
  if abs(across) < 0.05:
    return np.ones_like(s.depth)
  sign = 1 if across > 0 else -1
  side = scene.street.sides[(sign + 1) // 2]
  # To the front of the houses; what stands behind it is in the sun.
  way = (side.walk[1] - sign * s.offset) / abs(across)
  place = s.z + np.minimum(way, 200) * along - SKYLINE_START
  bins = np.minimum(np.maximum(place, 0), SKYLINE_BINS - 1).astype(np.int32)
  height = scene.skyline[(sign + 1) // 2].take(bins)
  over = s.y + way * rise - height
  sun = np.minimum(np.maximum(over * 2.5 + 0.5, 0), 1)
  return np.where(way < 0.2, np.float32(1), sun)


def _cast(
  scene: Scene,
  camera: Camera,
  fragments: Fragments,
  to_sun: tuple[float, float, float],
  margin: float,
) -> np.ndarray:
  """Draws the shadows that boxes cast on the ground, float32 [n] 0..1."""
  boxes = scene.world.shadows
  mask = np.zeros(fragments.ids.shape, np.uint8)
  x, z, yaw, half_width, half_length, height = boxes.T
  reach = height / max(to_sun[1], 0.2)
  cos, sin = np.cos(yaw), np.sin(yaw)
  corners = []
  for along, across in ((-1, -1), (-1, 1), (1, 1), (1, -1)):
    a = across * (half_width + margin)
    b = along * (half_length + margin)
    corners.append((x + cos * a + sin * b, 0 * x, z - sin * a + cos * b))
  foot = np.array(corners, np.float32)
  moved = foot.copy()
  moved[:, 0] -= to_sun[0] * reach
  moved[:, 2] -= to_sun[2] * reach
  points = np.concatenate([foot, moved]).transpose(2, 0, 1)
  local = camera.to_camera(points)
  scale = 1 / (fragments.slope_x[1] - fragments.slope_x[0])
  center = -scale * np.array(
    [fragments.slope_x[0], fragments.slope_y[0]], np.float32
  )
  pixels = local[..., :2] * (scale / np.maximum(local[..., 2:], 1.0)) + center
  seen = local[..., 2].min(axis=1) > 1.0
  seen &= np.ptp(pixels[..., 1], axis=1) > 0.8
  seen &= (pixels[..., 0].max(axis=1) > 0) & (
    pixels[..., 0].min(axis=1) < mask.shape[1]
  )
  fixed = np.rint(np.clip(pixels, -2e4, 2e4) * 16).astype(np.int32)
  overhead = to_sun[1] == 1
  for i in np.flatnonzero(seen).tolist():
    hull = fixed[i, :4] if overhead else cv2.convexHull(fixed[i])
    cv2.fillConvexPoly(mask, hull, 255, cv2.LINE_8, 4)
  size = max(mask.shape[0] // 64, 1) * 2 + 1
  shade = cv2.blur(mask, (size, size)).reshape(-1)
  return shade * np.float32(1 / 255)
