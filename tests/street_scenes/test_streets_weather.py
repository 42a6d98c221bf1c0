"""Fog by its law, and what each domain does to the picture."""

import dataclasses
import math

import numpy as np
import pytest

from street_scenes import (
  DOMAINS,
  draw,
  render,
  sample_camera,
  sample_scene,
  sample_weather,
)
from street_scenes.layout.styles import HOME
from street_scenes.render import effects

SIZE = (64, 128)
KEY = (0, 2, 0, 3)


def test_air_follows_koschmieders_law():
  weather = dataclasses.replace(
    sample_weather('fog', 0), air=0.03, air_color=(0.7, 0.8, 0.9)
  )
  depth = np.array([0, 10, 100, 1000], np.float32)
  color = [np.full(4, c, np.float32) for c in (0.1, 0.5, 0.9)]
  effects.dim_by_air(color, depth, weather)
  for channel, start, air in zip(color, (0.1, 0.5, 0.9), (0.7, 0.8, 0.9)):
    expected = [
      air + (start - air) * math.exp(-0.03 * d) for d in (0, 10, 100, 1000)
    ]
    np.testing.assert_allclose(channel, expected, rtol=1e-5)


def test_fog_takes_more_the_farther_away():
  """Against the same picture without fog: what is left falls with depth."""
  scene = sample_scene(HOME, *KEY)
  camera, bonnet = sample_camera(HOME, scene, *KEY)
  fog = sample_weather('fog', *KEY)
  plain = {'noise': 0.0, 'blur': 0.0, 'vignette': 0.0, 'contrast': 1.0}
  fog = dataclasses.replace(fog, exposure=1.0, **plain)
  clear = dataclasses.replace(fog, air=0.0)
  foggy, bare = (render(scene, camera, w, SIZE, bonnet) for w in (fog, clear))
  # The mean difference from the air's colour shrinks by exp(-air * depth).
  tints = np.array(fog.tint) * 255
  air = np.array(fog.air_color) * tints
  left = []
  for low, high in ((3, 8), (8, 16), (16, 32), (32, 64)):
    at = (bare.depth >= low) & (bare.depth < high)
    assert at.sum() > 30
    remaining = np.abs(foggy.image[at] - air).mean()
    left.append(remaining / np.abs(bare.image[at] - air).mean())
    lower, upper = math.exp(-fog.air * high), math.exp(-fog.air * low)
    assert lower - 0.1 < left[-1] < upper + 0.1
  assert left == sorted(left, reverse=True)
  assert left[0] - left[-1] > 0.2


def test_sight_in_fog_stays_within_its_range():
  air = [sample_weather('fog', i).air for i in range(50)]
  # 5 % of the contrast, exp(-3), is left at the end of sight.
  sight = 3 / np.array(air)
  assert sight.min() >= 55 and sight.max() <= 180
  assert sight.std() > 10


@pytest.mark.parametrize('domain', DOMAINS)
def test_sun_is_above_the_horizon(domain):
  for i in range(20):
    weather = sample_weather(domain, i)
    assert math.hypot(*weather.to_sun) == pytest.approx(1)
    assert weather.to_sun[1] > 0.2


@pytest.mark.slow
def test_domains_differ_as_their_names_say():
  drawn = {
    domain: [draw(domain, 'test', i, SIZE) for i in range(8)]
    for domain in DOMAINS
  }
  images = {
    domain: np.stack([p.image for p in pictures])
    for domain, pictures in drawn.items()
  }
  mean = {name: image.mean() for name, image in images.items()}
  # Contrast of what is far away, but not sky.
  spread = {
    domain: np.mean(
      [p.image[(p.depth > 40) & (p.depth < 500)].std() for p in pictures]
    )
    for domain, pictures in drawn.items()
  }
  assert mean['night'] < 0.55 * mean['day']
  assert mean['rain'] < mean['day']
  assert spread['fog'] < 0.7 * spread['day']
  # Light of another colour: less blue against red than at home.
  blue = {
    name: image[..., 2].mean() / image[..., 0].mean()
    for name, image in images.items()
  }
  assert blue['other_city'] < 0.9 * blue['day']


def test_wet_road_mirrors_what_stands_on_it():
  scene = sample_scene(HOME, *KEY)
  camera, bonnet = sample_camera(HOME, scene, *KEY)
  rain = dataclasses.replace(
    sample_weather('rain', *KEY), noise=0.0, streaks=0.0
  )
  wet, dry = (
    render(scene, camera, w, SIZE, bonnet)
    for w in (rain, dataclasses.replace(rain, wet=0.0))
  )
  # Walls and pavement alike are ground or not: nothing else changes by itself.
  upright = np.isin(wet.label, (2, 13)) & (wet.depth < 40)
  far_from_ground = upright & (np.arange(SIZE[0])[:, None] < 20)
  road = wet.label == 0
  change = np.abs(wet.image.astype(int) - dry.image).max(axis=-1)
  assert change[road].mean() > 8
  assert change[far_from_ground].mean() < 1
