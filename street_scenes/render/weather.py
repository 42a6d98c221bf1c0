"""Light and air of the domains: day, fog, night, rain and another city."""

from __future__ import annotations

import dataclasses
import math

from street_scenes.random_choices import Dice
from street_scenes.types import Color

_WEATHER = 3  # purpose of the stream of random decisions


@dataclasses.dataclass(frozen=True)
class Weather:
  """Light, air and lens of one picture. Colours 0..1.

  Attributes:
    to_sun: unit vector in world coordinates towards the sun.
    sun: light of the sun on a surface that faces it.
    ambient: light from everywhere.
    sky_top, sky_horizon: colours of the sky.
    clouds: 0..1, cover.
    cloud: colour of clouds.
    air: extinction of the air per metre; exp(-air * depth) of the light of a
      surface arrives.
    air_color: what comes instead.
    lights: 0 = no artificial light (day) .. 1 = lamps, headlights, windows.
    window_odds: that a window is lit.
    wet: 0..1, how much the road mirrors.
    streaks: rain streaks per 100x200 pixels.
    blur: standard deviation of the lens' blur, in shares of the height.
    noise: standard deviation of the sensor's noise, grey levels of 255.
    exposure: factor on everything.
    tint: factors on red, green and blue.
    contrast: factor around the middle grey.
    vignette: darkening of the corners.
  """

  to_sun: tuple[float, float, float]
  sun: Color
  ambient: Color
  sky_top: Color
  sky_horizon: Color
  clouds: float
  cloud: Color
  air: float
  air_color: Color
  lights: float = 0.0
  window_odds: float = 0.0
  wet: float = 0.0
  streaks: float = 0.0
  blur: float = 0.0
  noise: float = 3.0
  exposure: float = 1.0
  tint: Color = (1.0, 1.0, 1.0)
  contrast: float = 1.0
  vignette: float = 0.12


def sample_weather(domain: str, *key: int) -> Weather:
  """Draws the weather of one picture.

  Args:
    domain: 'day', 'fog', 'night', 'rain' or 'other_city'.
    key: non-negative integers; the same key gives the same weather.

  Returns:
    The weather.
  """
  dice = Dice(*key, _WEATHER)
  day = _day(dice)
  return {
    'day': lambda: day,
    'fog': lambda: _fog(dice, day),
    'night': lambda: _night(dice, day),
    'rain': lambda: _rain(dice, day),
    'other_city': lambda: _abroad(dice, day),
  }[domain]()


def _scaled(color: Color, factor: float) -> Color:
  return (color[0] * factor, color[1] * factor, color[2] * factor)


def _day(dice: Dice) -> Weather:
  """Draws sun, clouds and camera of a dry day."""
  azimuth, elevation = dice.uniform(0, 2 * math.pi), dice.uniform(0.35, 1.1)
  flat = math.cos(elevation)
  to_sun = (
    flat * math.sin(azimuth),
    math.sin(elevation),
    flat * math.cos(azimuth),
  )
  clouds = dice.random()
  sunny = max(1.0 - 1.25 * clouds**2, 0.0)
  grey = dice.uniform(0.66, 0.9)
  warm = 0.12 * (1.1 - elevation)
  top = (0.28 + 0.4 * clouds, 0.45 + 0.26 * clouds, 0.74 + 0.04 * clouds)
  horizon = (0.72 + 0.1 * clouds, 0.8 + 0.03 * clouds, 0.89 - 0.04 * clouds)
  # Under clouds the light comes from everywhere.
  level = 0.62 + 0.42 * (1 - sunny)
  return Weather(
    to_sun=to_sun,
    sun=_scaled((1.0 + warm, 0.95, 0.86 - warm), 0.72 * sunny),
    ambient=_scaled((0.95, 0.99, 1.06), level),
    sky_top=_scaled(top, 0.8 + 0.2 * grey),
    sky_horizon=_scaled(horizon, 0.85 + 0.15 * grey),
    clouds=clouds,
    cloud=(grey + 0.08, grey + 0.08, grey + 0.09),
    air=dice.uniform(0.0008, 0.0035),
    air_color=(0.76, 0.8, 0.84),
    blur=dice.uniform(0.0, 0.0016),
    noise=dice.uniform(1.5, 5.0),
    exposure=dice.uniform(0.88, 1.1),
    tint=(dice.uniform(0.97, 1.03), 1.0, dice.uniform(0.96, 1.04)),
    contrast=dice.uniform(0.94, 1.1),
  )


def _fog(dice: Dice, day: Weather) -> Weather:
  """Fog: 55 m to 180 m of sight."""
  grey = dice.uniform(0.66, 0.84)
  color = (grey, grey * 1.005, grey * 1.02)
  sight = dice.uniform(55.0, 180.0)
  return dataclasses.replace(
    day,
    sun=(0.0, 0.0, 0.0),
    ambient=(0.93, 0.95, 0.98),
    sky_top=color,
    sky_horizon=color,
    clouds=0.0,
    air=3.0 / sight,
    air_color=color,
    contrast=0.96,
  )


def _night(dice: Dice, day: Weather) -> Weather:
  """Night: lamps, headlights and windows; a noisy sensor."""
  dark = dice.uniform(0.1, 0.22)
  return dataclasses.replace(
    day,
    sun=(0.0, 0.0, 0.0),
    ambient=(0.8 * dark, 0.92 * dark, 1.25 * dark),
    sky_top=_scaled((0.25, 0.3, 0.5), 1.4 * dark),
    sky_horizon=_scaled((0.62, 0.55, 0.56), 1.4 * dark),
    clouds=0.5 * day.clouds,
    cloud=_scaled((0.5, 0.47, 0.47), 1.2 * dark),
    air=dice.uniform(0.002, 0.006),
    air_color=_scaled((0.5, 0.46, 0.45), dark),
    lights=dice.uniform(0.8, 1.15),
    window_odds=dice.uniform(0.12, 0.5),
    wet=dice.uniform(0.0, 0.25),
    noise=dice.uniform(6.0, 13.0),
    exposure=dice.uniform(0.95, 1.3),
    blur=dice.uniform(0.001, 0.004),
    contrast=1.0,
  )


def _rain(dice: Dice, day: Weather) -> Weather:
  """Rain: grey sky, mirroring road, streaks and a wet lens."""
  grey = dice.uniform(0.5, 0.68)
  color = (grey, grey * 1.02, grey * 1.05)
  return dataclasses.replace(
    day,
    sun=(0.0, 0.0, 0.0),
    ambient=_scaled((0.9, 0.97, 1.06), dice.uniform(0.62, 0.82)),
    sky_top=_scaled(color, 0.86),
    sky_horizon=color,
    clouds=dice.uniform(0.3, 0.7),
    cloud=_scaled(color, 0.9),
    air=dice.uniform(0.006, 0.014),
    air_color=color,
    lights=dice.uniform(0.15, 0.4),
    window_odds=0.2,
    wet=dice.uniform(0.5, 0.9),
    streaks=dice.uniform(40.0, 130.0),
    blur=dice.uniform(0.003, 0.008),
    noise=dice.uniform(3.0, 8.0),
    contrast=0.92,
  )


def _abroad(dice: Dice, day: Weather) -> Weather:
  """A day under another sun, through another camera."""
  return dataclasses.replace(
    day,
    sun=_scaled((1.12, 0.95, 0.74), 0.8 * max(1 - day.clouds**2, 0.2)),
    ambient=_scaled(day.ambient, 0.95),
    sky_top=(0.36, 0.55, 0.72),
    sky_horizon=(0.88, 0.84, 0.76),
    air=dice.uniform(0.003, 0.008),
    air_color=(0.86, 0.8, 0.72),
    tint=(1.03, 1.0, 0.94),
    contrast=dice.uniform(0.98, 1.16),
    vignette=0.22,
  )
