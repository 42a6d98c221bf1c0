"""Drawn streets seen from several places: images with depth and camera pose.

A car that drives on: the views of a scene look at the same street, at the
same time, from camera positions two metres apart along it. What multi-view
methods need (ViewAL) and no street photograph here offers.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow_datasets as tfds

from common_lib.errors import UserError
from input_pipeline.datasets import base, prepared
from street_scenes.geometry.camera import Camera
from street_scenes.layout.scene import sample_camera, sample_scene
from street_scenes.layout.styles import HOME, OTHER
from street_scenes.render.domains import (
  DOMAINS,
  RENDERER_VERSION,
  SMALLEST_SIDE,
  SPLITS,
)
from street_scenes.render.rendering import render
from street_scenes.render.weather import sample_weather

SPECS = f'street_views[/{"|".join(DOMAINS)}][:{"|".join(SPLITS)}]'

VIEWS = 4
_STEP_METRES = 2.0
# Images unless the request names others: whole scenes.
_DEFAULT_EXAMPLES = {'train': 400, 'validation': 100, 'test': 100}
# Scenes of its own, none of which `streets` draws.
_SEED = 1


class StreetViews(base.SceneBuilder):
  """TFDS builder of one domain and split."""

  VERSION = tfds.core.Version(RENDERER_VERSION)

  def load(self, scene: base.Scene) -> dict[str, np.ndarray]:
    """Draws one view; see `SceneBuilder.load`."""
    origin = scene.origin
    domain, split = origin['domain'], origin['split']
    style = OTHER if domain == 'other_city' else HOME
    place = (
      _SEED,
      SPLITS.index(split),
      int(style is OTHER),
      origin['scene'],
    )
    street = sample_scene(style, *place)
    camera, bonnet = sample_camera(style, street, *place)
    camera = _moved(camera, _STEP_METRES * origin['view'])
    picture = render(
      street,
      camera,
      sample_weather(domain, *place),
      self.request.image_size,
      bonnet,
      noise_key=(*place, DOMAINS.index(domain), origin['view']),
    )
    arrays = {'image': picture.image, 'label': picture.label}
    if self.request.depth:
      arrays['depth'] = picture.depth
    return arrays | {'camera': as_vector(camera, self.request.image_size)}

  def _info(self) -> tfds.core.DatasetInfo:
    features = dict(super()._info().features)
    features['camera'] = tfds.features.Tensor(shape=(13,), dtype=np.float32)
    return prepared.CheckedInfo(
      builder=self,
      features=tfds.features.FeaturesDict(features),
      disable_shuffling=True,
    )


def as_vector(camera: Camera, size: tuple[int, int]) -> np.ndarray:
  """A camera as float32 [13].

  The rotation by rows (camera axes right, down and forward in world
  coordinates), the position in metres, the focal length in pixels. The
  principal point is the centre of the picture.
  """
  return np.concatenate(
    [camera.rotation().ravel(), camera.position, [camera.focal_px(size)]]
  ).astype(np.float32)


def _moved(camera: Camera, metres: float) -> Camera:
  """Driven on along its own direction, level."""
  x, y, z = camera.position
  forward = camera.rotation()[2]
  ahead = forward / np.hypot(forward[0], forward[2])
  return dataclasses.replace(
    camera,
    position=(x + metres * float(ahead[0]), y, z + metres * float(ahead[2])),
  )


def has_depth(request: base.DataRequest) -> bool:
  """They are drawn with it; see `base`."""
  del request
  return True


def open_source(
  variant: str, split: str, request: base.DataRequest
) -> base.Source:
  """Opens drawn views, drawing them unless a copy is there.

  Args:
    variant: the domain, 'day' by default.
    split: 'train', 'validation' or 'test' (default).
    request: `num_examples` counts images; `root` and `on_error` have no
      effect.

  Returns:
    The views, those of a scene one after the other; `sequence` is the scene,
    and each has `camera` (see `as_vector`) beside what `Source` says.

  Raises:
    UserError: an unknown domain or split, or a size that is too small.
  """
  variant, split = variant or DOMAINS[0], split or SPLITS[-1]
  if variant not in DOMAINS or split not in SPLITS:
    raise UserError(
      f'street_views has no {variant}:{split}; use one of '
      f'{", ".join(DOMAINS)} and one of {", ".join(SPLITS)}'
    )
  if min(request.image_size) < SMALLEST_SIDE:
    raise UserError(
      f'image_size {request.image_size} is too small for street_views; both '
      f'sides must be at least {SMALLEST_SIDE}'
    )
  count = request.num_examples.get(split, _DEFAULT_EXAMPLES[split])
  scenes = [
    _scene(variant, split, *divmod(index, VIEWS)) for index in range(count)
  ]
  name = f'{variant}-{split}-{count}'
  return base.open_prepared(StreetViews.create(name, {split: scenes}, request))


def _scene(domain: str, split: str, scene: int, view: int) -> base.Scene:
  sequence = f'{domain}_{split}_{scene:06d}'
  return base.Scene(
    id=f'{sequence}_{view}',
    sequence=sequence,
    origin={'domain': domain, 'split': split, 'scene': scene, 'view': view},
  )
