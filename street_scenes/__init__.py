"""Procedurally drawn street scenes with exact label and depth maps.

A scene (`scene.py`) is a street with all that stands and drives on it, built
of flat faces and capsules in metres. A camera (`camera.py`) and the weather
(`weather.py`) are apart from it: `render` draws any scene from any camera in
any weather. `draw` does all three for a domain, split and number.

  dice -> styles, street -> blocks, roadside, traffic (-> mesh) -> scene
  scene + camera -> raster -> samples -> shading, effects -> render

All 19 classes occur. Void (255) is the camera car's own bonnet, bins, benches,
overhead wires and railway ballast.
"""

from street_scenes.geometry.camera import Camera
from street_scenes.geometry.raster import FARTHEST, SKY_DEPTH, Bonnet
from street_scenes.layout.scene import (
  Scene,
  sample_camera,
  sample_scene,
)
from street_scenes.render.domains import (
  DOMAINS,
  RENDERER_VERSION,
  SPLITS,
  draw,
)
from street_scenes.render.rendering import Picture, render
from street_scenes.render.weather import Weather, sample_weather

__all__ = [
  'DOMAINS',
  'FARTHEST',
  'RENDERER_VERSION',
  'SKY_DEPTH',
  'SPLITS',
  'Bonnet',
  'Camera',
  'Picture',
  'Scene',
  'Weather',
  'draw',
  'render',
  'sample_camera',
  'sample_scene',
  'sample_weather',
]
