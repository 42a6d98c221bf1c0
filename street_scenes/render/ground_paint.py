"""Colours of the ground: asphalt, slabs, grass, lines and rails."""

from __future__ import annotations

import numpy as np

from street_scenes.layout.scene import GroundLook
from street_scenes.layout.street import Ground, Street
from street_scenes.render import textures
from street_scenes.render.sample_positions import Samples

_LINE = (0.86, 0.86, 0.84)


def paint_ground(
  street: Street,
  look: GroundLook,
  s: Samples,
  at: np.ndarray,
  color: list[np.ndarray],
) -> None:
  """Paints the samples that show the ground.

  Args:
    street: the layout.
    look: base colours.
    s: the samples.
    at: int64 [n], those which show the ground.
    color: three float32 arrays; changed at these samples.
  """
  ground, offset, z = s.ground[at], s.offset[at], s.z[at]
  # Across the view a sample is one footprint wide; along it is much longer.
  long = np.minimum(s.footprint[at] * (1 + s.depth[at] * 0.6), 50)
  factor = 1 + 0.13 * textures.noise(offset * 1.7, z * 1.7)
  table = np.array(
    [
      look.asphalt,
      look.paving,
      look.grass,
      (0.47, 0.42, 0.35),
      (0.36, 0.33, 0.3),
      tuple(1.12 * c for c in look.paving),
      look.grass,
    ],
    np.float32,
  )
  walk = np.flatnonzero((ground == Ground.WALK) | (ground == Ground.KERB))
  factor[walk] *= _slabs(look.tile, offset[walk], z[walk], long[walk])
  soft = np.flatnonzero((ground == Ground.GRASS) | (ground == Ground.DIRT))
  factor[soft] *= textures.grass(offset[soft], z[soft], long[soft])
  stones = np.flatnonzero(ground == Ground.BALLAST)
  speck = textures.grain(offset[stones] * 12, z[stones] * 12)
  factor[stones] *= 1 + 0.25 * speck * textures.fade(long[stones], 0.2)
  road = np.flatnonzero(ground == Ground.ROAD)
  x, y, far = offset[road], z[road], long[road]
  factor[road] *= _asphalt(street, look, x, y, far)
  part = [factor * table[:, i].take(ground) for i in range(3)]
  on_road = [channel[road] for channel in part]
  _paint_lines(street, look, on_road, x, y)
  for channel, shown, painted in zip(color, part, on_road):
    shown[road] = painted
    channel[at] = shown


def _slabs(tile, offset, z, long):
  """Returns factors for the slabs of a sidewalk."""
  column, across = textures.split(offset * (1 / tile))
  row, along = textures.split(z * (1 / tile))
  left = textures.fade(long, 0.35 * tile)
  joint = (across < 0.06) | (along < 0.06)
  tone = 0.06 * textures.grain(column, row) - 0.2 * joint
  return (
    1
    + left * tone
    + 0.05 * textures.grain(offset * 30, z * 30) * textures.fade(long, 0.06)
  )


def _asphalt(street, look, offset, z, long):
  """Returns factors for asphalt: specks, tracks, cracks and repairs."""
  speck = textures.grain(offset * 40, z * 40) * textures.fade(long, 0.05)
  patch = textures.noise(offset * 0.6 + 90, z * 0.35)
  factor = 1 + 0.1 * speck + (0.05 + 0.07 * look.worn) * patch
  for lane in street.lanes:
    # Tyres polish two tracks.
    away = np.abs(np.abs(offset - lane.offset) - 0.8)
    factor -= 0.06 * np.maximum(1 - away * 2.2, 0)
  crack = np.abs(textures.noise(offset * 4, z * 1.3) + 0.05) < 0.025
  factor -= 0.25 * look.worn * crack * textures.fade(long, 0.15)
  factor -= 0.16 * (patch > 0.72)
  return factor


def _paint_lines(street, look, color, offset, z) -> None:
  """Paints lines and rails on the road; changes `color` in place."""
  line, centre = _lines(street, offset, z)
  for mask, paint in ((line, _LINE), (centre, look.centre_line)):
    at = np.flatnonzero(mask)
    rubbed = textures.noise(offset[at] * 9, z[at] * 9) > 0.9 - 0.9 * look.worn
    strength = (0.85 - 0.35 * look.worn) * np.where(rubbed, 0.45, 1)
    for channel, new in zip(color, paint):
      before = channel[at]
      channel[at] = before + strength * (new - before)
  for rail in street.rails:
    away = np.abs(offset - rail)
    groove = np.flatnonzero(away < 0.13)
    steel = np.flatnonzero(away < 0.05)
    for channel in color:
      channel[groove] *= 0.72
      channel[steel] = channel[steel] * 0.3 + 0.36


def _lines(street, offset, z):
  """Returns masks of white lines and of the line between directions."""
  line = np.zeros(offset.shape, bool)
  lane_width = 2 * min(abs(lane.offset) for lane in street.lanes)
  per_side = len(street.lanes) // 2
  dash = textures.split(z * (1 / 9))[1] < 0.45
  for i in range(1, per_side):
    away = np.abs(np.abs(offset) - i * lane_width)
    line |= (away < 0.07) & dash
  for side in street.sides:
    away = np.abs(offset * side.sign - side.lanes_end)
    parking = side.kerb - side.lanes_end > 1.5
    line |= (away < 0.06) & (
      (textures.split(z * (1 / 6))[1] < 0.15) if parking else True
    )
  if street.centre_dashed:
    centre = (np.abs(offset) < 0.08) & dash
  else:
    centre = np.abs(np.abs(offset) - 0.13) < 0.06
  inside = (offset > -street.sides[0].kerb + 0.4) & (
    offset < street.sides[1].kerb - 0.4
  )
  for middle in street.zebra:
    near = np.abs(z - middle) < 1.7
    centre &= ~near
    line &= ~near
    line |= near & inside & (textures.split(offset)[1] < 0.5)
    stop = np.abs(z - middle + 3.0) < 0.22
    line |= stop & inside & (offset * street.lanes[0].offset > 0)
  if street.crossing is not None:
    middle, half = street.crossing
    crossing = np.abs(z - middle) < half + 0.5
    line &= ~crossing
    centre &= ~crossing
  return line, centre
