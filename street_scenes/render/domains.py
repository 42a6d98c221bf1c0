"""Draws the scene with a given domain, split and number."""

from __future__ import annotations

from street_scenes.layout.scene import sample_camera, sample_scene
from street_scenes.layout.styles import HOME, OTHER
from street_scenes.render.rendering import Picture, render
from street_scenes.render.weather import sample_weather

# Raise it whenever any pixel of any scene changes: copies prepared by another
# version are then not used.
RENDERER_VERSION = '1.2.0'

# The domain that networks are trained on comes first.
DOMAINS = ('day', 'fog', 'night', 'rain', 'other_city')

# Order matters: the position seeds the split.
SPLITS = ('train', 'validation', 'test')

SMALLEST_SIDE = 32


def draw(
  domain: str, split: str, index: int, size: tuple[int, int], seed: int = 0
) -> Picture:
  """Draws one scene.

  Scene `index` of a split shows the same street, from the same camera, by day,
  in fog, at night and in rain, so that these domains differ in nothing but
  weather. 'other_city' has streets of its own.

  Args:
    domain: one of `DOMAINS`.
    split: one of `SPLITS`.
    index: number of the scene, from 0; there is no last one.
    size: (h, w), pixels, each at least `SMALLEST_SIDE`.
    seed: non-negative; another seed gives other scenes.

  Returns:
    Picture, labels and depth. The same arguments give the same bytes in every
    process.
  """
  style = OTHER if domain == 'other_city' else HOME
  place = (seed, SPLITS.index(split), int(style is OTHER), index)
  scene = sample_scene(style, *place)
  camera, bonnet = sample_camera(style, scene, *place)
  return render(
    scene,
    camera,
    sample_weather(domain, *place),
    size,
    bonnet,
    noise_key=(*place, DOMAINS.index(domain)),
  )
