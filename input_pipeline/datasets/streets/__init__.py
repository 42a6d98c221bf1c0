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

from input_pipeline.datasets.streets.builder import (
  DEFAULT_EXAMPLES,
  SPECS,
  Streets,
  open_source,
)
from input_pipeline.datasets.streets.camera import Camera
from input_pipeline.datasets.streets.drawing import (
  DOMAINS,
  RENDERER_VERSION,
  SPLITS,
  draw,
)
from input_pipeline.datasets.streets.raster import FARTHEST, SKY_DEPTH, Bonnet
from input_pipeline.datasets.streets.rendering import Picture, render
from input_pipeline.datasets.streets.scene import (
  Scene,
  sample_camera,
  sample_scene,
)
from input_pipeline.datasets.streets.weather import Weather, sample_weather

__all__ = [
  'DEFAULT_EXAMPLES',
  'DOMAINS',
  'FARTHEST',
  'RENDERER_VERSION',
  'SKY_DEPTH',
  'SPECS',
  'SPLITS',
  'Bonnet',
  'Camera',
  'Picture',
  'Scene',
  'Streets',
  'Weather',
  'draw',
  'open_source',
  'render',
  'sample_camera',
  'sample_scene',
  'sample_weather',
]
