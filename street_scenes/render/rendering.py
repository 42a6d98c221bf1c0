"""Draws a scene: picture, labels and depth of one camera."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np

from common_lib.class_table import VOID
from street_scenes.geometry import raster
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.raster import (
  Bonnet,
  Fragments,
  rasterize,
)
from street_scenes.layout.scene import Scene
from street_scenes.layout.street import GROUND_LABELS
from street_scenes.render import effects, shading
from street_scenes.render.sample_positions import (
  Locator,
  Samples,
  look_through_holes,
)
from street_scenes.render.weather import Weather

_SUPERSAMPLE = 2
_SKY_LABEL = 10


@dataclasses.dataclass(frozen=True)
class Picture:
  """What a camera sees.

  Attributes:
    image: uint8 [h w 3], RGB; each pixel is the mean of the light around it.
    label: uint8 [h w], trainId at the pixel's centre, 255 = void.
    depth: float32 [h w], metres along the camera's z axis at the pixel's
      centre; `raster.SKY_DEPTH` for the sky, at most `raster.FARTHEST`
      elsewhere.
  """

  image: np.ndarray
  label: np.ndarray
  depth: np.ndarray


def render(
  scene: Scene,
  camera: Camera,
  weather: Weather,
  size: tuple[int, int],
  bonnet: Bonnet = Bonnet(),  # noqa: B008 - frozen
  noise_key: tuple[int, ...] = (0,),
) -> Picture:
  """Draws a scene.

  Args:
    scene: the scene.
    camera: from where; it should look along the street, at most about 60
      degrees to its sides, from between the houses.
    weather: light and air.
    size: (h, w), pixels, at least 32 each.
    bonnet: part hidden by the camera's own car.
    noise_key: non-negative integers that decide about the sensor's noise and
      the drops of rain.

  Returns:
    The picture.
  """
  scale = _SUPERSAMPLE
  fragments = rasterize(scene.world, camera, size, scale, bonnet)
  locator = Locator(scene, camera, fragments, weather.to_sun)
  samples = locator.all()
  label = _labels(scene, samples, scale)
  depth = samples.depth.reshape(samples.shape)[::scale, ::scale].copy()

  look_through_holes(scene, fragments, locator, samples)
  light = _light(scene, camera, fragments, samples, weather)
  generator = np.random.default_rng(noise_key)
  # A tent filter around the sample on the pixel's centre.
  tent = np.array([0.25, 0.5, 0.25], np.float32)
  light = cv2.sepFilter2D(light, -1, tent, tent)[::scale, ::scale].copy()
  if weather.streaks > 0:
    effects.streaks(light, weather, generator)
  image = effects.expose(light, weather, scene.haze, generator)
  return Picture(image=image, label=label, depth=depth)


def _labels(scene: Scene, s: Samples, scale: int) -> np.ndarray:
  """Returns the trainIds of the samples on the pixels' centres."""
  own = np.array([VOID, _SKY_LABEL, VOID], np.uint8)
  ids = s.ids.reshape(s.shape)[::scale, ::scale]
  ground = s.ground.reshape(s.shape)[::scale, ::scale]
  label = np.concatenate([own, scene.world.label]).take(ids)
  return np.where(ids == raster.GROUND, GROUND_LABELS.take(ground), label)


def _light(
  scene: Scene,
  camera: Camera,
  fragments: Fragments,
  s: Samples,
  weather: Weather,
) -> np.ndarray:
  """Returns the light that reaches the camera, float32 [h w 3] of samples."""
  color, glow = shading.surface_colors(scene, s, weather)
  sky_light, sun = shading.arriving_light(scene, camera, fragments, s, weather)
  light = [
    sky_light * ambient + sun * direct
    for ambient, direct in zip(weather.ambient, weather.sun)
  ]
  if weather.lights > 0.5:
    lamps = effects.lamp_light(scene, camera, s, weather)
    light = [a + b for a, b in zip(light, lamps)]
  for i, channel in enumerate(color):
    channel *= light[i]
    if glow is not None:
      channel += glow[i]
  effects.dim_by_air(color, s.depth, weather)
  effects.paint_sky(camera, fragments, s, weather, scene.number, color)
  picture = cv2.merge([channel.reshape(s.shape) for channel in color])
  if weather.wet > 0:
    effects.mirror_on_road(picture, s, weather, scene.number)
  if weather.lights > 0 and glow is not None:
    shine = cv2.merge([channel.reshape(s.shape) for channel in glow])
    effects.bloom(picture, shine, weather)
  return picture
