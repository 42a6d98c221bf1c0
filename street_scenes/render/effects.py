"""Sky, artificial light, air, wet road, rain and the camera's own flaws."""

from __future__ import annotations

import cv2
import numpy as np

from street_scenes.geometry import raster
from street_scenes.geometry.camera import Camera
from street_scenes.geometry.raster import Fragments
from street_scenes.layout.scene import Scene
from street_scenes.render import textures
from street_scenes.render.sample_positions import Samples
from street_scenes.render.weather import Weather


def paint_sky(
  camera: Camera,
  fragments: Fragments,
  s: Samples,
  weather: Weather,
  number: int,
  color: list[np.ndarray],
) -> None:
  """Paints the samples that show the sky.

  Args:
    camera: the camera.
    fragments: for the rays.
    s: the samples.
    weather: colours and clouds.
    number: seeds the clouds.
    color: three float32 arrays; changed where the sky is.
  """
  at = np.flatnonzero(s.ids == raster.SKY)
  # Its depth is constant: its place in the world is its direction.
  x, y, z = (
    getattr(s, name)[at] - origin
    for name, origin in zip('xyz', camera.position)
  )
  away = 1 / np.sqrt(x * x + y * y + z * z)
  x, y, z = x * away, y * away, z * away
  high = np.maximum(y, 0)
  share = 1 - np.exp(-3.5 * high)
  # Clouds lie in a plane overhead; far ones crowd at the horizon.
  flat = 28 / (high + 0.14)
  density = textures.noise(x * flat + number % 251, z * flat + number % 127)
  density += 1.6 * weather.clouds - 0.75
  cover = np.minimum(np.maximum(density * 1.3, 0), 1)
  cover *= 0.35 + 0.65 * weather.clouds
  lit = 1 - 0.14 * np.minimum(np.maximum(density, 0), 1.2)
  shine = 0.0
  if weather.sun[0] > 0.02:
    toward = sum(a * b for a, b in zip((x, y, z), weather.to_sun))
    shine = 0.35 * np.maximum(toward, 0) ** 24
  for i, channel in enumerate(color):
    low, top = weather.sky_horizon[i], weather.sky_top[i]
    blue = low + share * (top - low)
    blue += cover * (weather.cloud[i] * lit - blue)
    channel[at] = blue + shine * weather.sun[i]


def lamp_light(
  scene: Scene, camera: Camera, s: Samples, weather: Weather
) -> list[np.ndarray]:
  """Returns the artificial light on surfaces, three float32 [n].

  Street lamps light what is below them, the own headlights what is ahead.
  """
  total = np.zeros_like(s.depth)
  for lamp in scene.world.lights:
    if lamp[2] > 75 or lamp[2] < -5:
      continue
    dx, dy, dz = s.x - lamp[0], s.y - lamp[1], s.z - lamp[2]
    near = 1 / (dx * dx + dy * dy + dz * dz + 4)
    # Lamps shine downwards.
    shine = np.maximum(-dy, 0) * near * np.sqrt(near)
    total += np.minimum(shine * (26 * lamp[6]), 1.2)
  color = scene.world.lights[0, 3:6] if len(scene.world.lights) else (1, 1, 1)
  wide = (s.x - camera.position[0]) / np.maximum(s.depth, 1)
  beam = np.exp(-((wide / 0.32) ** 2) - s.depth / 24)
  beam *= 0.95 * np.minimum(np.maximum((1.7 - s.y) / 0.9, 0.12), 1)
  power = min(weather.lights, 1.2)
  return [
    power * (total * lamp_part + beam * part)
    for lamp_part, part in zip(color, (0.95, 0.97, 1.0))
  ]


def dim_by_air(
  color: list[np.ndarray], depth: np.ndarray, weather: Weather
) -> None:
  """Mixes surfaces with the air in front of them, in place.

  The light of a surface arrives with exp(-air * depth) of its strength
  (Koschmieder's law); the air adds the rest in its own colour.

  Args:
    color: three float32 [n].
    depth: float32 [n], metres.
    weather: the air.
  """
  left = np.exp(depth * np.float32(-weather.air))
  for channel, air in zip(color, weather.air_color):
    channel -= air
    channel *= left
    channel += air


def mirror_on_road(
  color: np.ndarray, s: Samples, weather: Weather, number: int
) -> None:
  """Lets the wet ground mirror what stands on it.

  In a column, the picture of an upright thing is flipped at its foot.

  Args:
    color: float32 [h w 3]; changed in place on the ground.
    s: the samples.
    weather: how wet.
    number: seeds the puddles.
  """
  height, width = s.shape
  ground = (s.ids == raster.GROUND).reshape(s.shape)
  rows = np.arange(height, dtype=np.int32)[:, None]
  foot = np.maximum.accumulate(np.where(ground, -1, rows), axis=0)
  source = np.minimum(np.maximum(2 * foot - rows + 1, 0), height - 1)
  at = np.flatnonzero(ground)
  tall = max(height // 24, 1) * 2 + 1
  soft = cv2.blur(color, (3, tall)).reshape(-1, 3)
  mirrored = soft.take(source.reshape(-1)[at] * width + at % width, axis=0)
  puddle = textures.noise(s.x[at] * 2.2 + number % 97, s.z[at] * 1.1)
  share = np.minimum(np.maximum(0.5 + 0.45 * puddle, 0.08), 0.95)
  # Shallow angles mirror more.
  share *= weather.wet * np.minimum(np.maximum(s.depth[at] / 16, 0.3), 1)
  flat = color.reshape(-1, 3)
  wet = flat.take(at, axis=0) * (1 - 0.35 * weather.wet)
  flat[at] = wet + share[:, None] * (mirrored - wet)


def bloom(color: np.ndarray, glow: np.ndarray, weather: Weather) -> None:
  """Adds the halo of lights to `color` [h w 3] in place."""
  height = color.shape[0]
  small = cv2.resize(glow, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
  halo = cv2.GaussianBlur(small, (0, 0), max(height / 4 / 22, 0.8))
  halo = cv2.resize(halo, glow.shape[1::-1], interpolation=cv2.INTER_LINEAR)
  color += (0.9 * weather.lights) * halo


def streaks(
  image: np.ndarray, weather: Weather, generator: np.random.Generator
) -> None:
  """Draws rain streaks over the picture [h w 3], in place."""
  height, width = image.shape[:2]
  scale = height / 100
  count = int(weather.streaks * width / height / 2)
  if count == 0:
    return
  layer = np.zeros((height, width), np.uint8)
  starts = generator.uniform((0, -10), (width, height), (count, 2))
  lengths = generator.uniform(5, 16, count) * scale
  slant = generator.uniform(-0.12, 0.12)
  ends = starts + np.stack([slant * lengths, lengths], axis=1)
  lines = np.rint(np.stack([starts, ends], axis=1) * 16).astype(np.int32)
  for i, (start, end) in enumerate(lines.tolist()):
    cv2.line(layer, start, end, 90 + 60 * (i % 3), 1, cv2.LINE_AA, 4)
  layer = cv2.blur(layer, (1, 3))
  part = layer.astype(np.float32)[..., None] * (0.30 / 255)
  image += part * (0.92 - image)


def expose(
  image: np.ndarray,
  weather: Weather,
  haze: tuple[float, float, float],
  generator: np.random.Generator,
) -> np.ndarray:
  """Turns light into the camera's picture.

  Args:
    image: float32 [h w 3], light, about 0..1.
    weather: lens and sensor.
    haze: colour cast of the city.
    generator: the sensor's noise.

  Returns:
    uint8 [h w 3].
  """
  height, width = image.shape[:2]
  sigma = weather.blur * height
  if sigma > 0.2:
    image = cv2.GaussianBlur(image, (0, 0), sigma)
  cast = [weather.exposure * t * h for t, h in zip(weather.tint, haze)]
  image = image * np.array(cast, np.float32)
  # Bright light saturates softly.
  bright = image[image > 0.8]
  image[image > 0.8] = 0.8 + 0.35 * np.tanh((bright - 0.8) / 0.6)
  image = (image - 0.45) * weather.contrast + 0.45
  across = np.linspace(-1, 1, width, dtype=np.float32) ** 2
  down = np.linspace(-1, 1, height, dtype=np.float32)[:, None] ** 2
  image *= (1 - weather.vignette * (across + down) / 2)[..., None]
  noise = generator.standard_normal((height, width, 3), np.float32)
  grey = generator.standard_normal((height, width, 1), np.float32)
  shot = 0.6 + 0.6 * np.sqrt(np.clip(image, 0, 1))
  image += (0.6 * noise + 0.7 * grey) * shot * (weather.noise / 255)
  return np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
