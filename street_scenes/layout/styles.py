"""What sets one city apart from another, as data."""

from __future__ import annotations

import dataclasses

from street_scenes.types import Color, Span


def _rgb(text: str) -> tuple[Color, ...]:
  """Reads colours written as RRGGBB, separated by spaces."""
  return tuple(map(_color, text.split()))


def _color(word: str) -> Color:
  red, green, blue = (int(word[i : i + 2], 16) / 255 for i in (0, 2, 4))
  return red, green, blue


@dataclasses.dataclass(frozen=True)
class CityStyle:
  """Ranges and odds from which a street is drawn. Metres, radians, 0..1.

  Attributes:
    drive_side: +1 = traffic keeps to the right, -1 = to the left.
    camera_height, camera_pitch, camera_focal: of the camera on the car.
    bonnet: odds that the own bonnet is in the picture.
    lanes: odds of the number of lanes per direction.
    lane_width, walk_width: spans.
    bend: largest change of the street's direction per metre.
    zones: odds of what lies beside the sidewalk, see `blocks.py`.
    floors: span of the number of floors above the ground floor.
    frontage: span of the length of a building.
    gabled, brick, shops, balconies: odds for a building.
    plaster, roofs, frames, accents: colours of buildings.
    walls, fences: their colours.
    trees: odds of the kinds of trees.
    leaves: colours of leaves.
    grass, asphalt, paving: colours of the ground.
    centre_line: colour of the line between the directions.
    cars, buses, trams, trucks: colours of vehicles.
    traffic: factor on the distance between moving vehicles.
    vehicles: odds of the kinds of moving vehicles.
    parked: odds that a parking space is taken.
    people: mean number of people on the sidewalks.
    tram: odds of a tram.
    lamp: kind of street lamp.
    pole_color, signal_color: colours.
    sign_field: colour of warning signs.
    haze: colour cast of the whole city, factors on red, green and blue.
  """

  drive_side: int
  camera_height: Span
  camera_pitch: Span
  camera_focal: Span
  bonnet: float
  lanes: dict[int, float]
  lane_width: Span
  walk_width: Span
  bend: float
  zones: dict[str, float]
  floors: tuple[int, int]
  frontage: Span
  gabled: float
  brick: float
  shops: float
  balconies: float
  plaster: tuple[Color, ...]
  roofs: tuple[Color, ...]
  frames: tuple[Color, ...]
  accents: tuple[Color, ...]
  walls: tuple[Color, ...]
  fences: tuple[Color, ...]
  trees: dict[str, float]
  leaves: tuple[Color, ...]
  grass: tuple[Color, ...]
  asphalt: tuple[Color, ...]
  paving: tuple[Color, ...]
  centre_line: Color
  cars: tuple[Color, ...]
  buses: tuple[Color, ...]
  trams: tuple[Color, ...]
  trucks: tuple[Color, ...]
  traffic: float
  vehicles: dict[str, float]
  parked: float
  people: float
  tram: float
  lamp: str
  pole_color: Color
  signal_color: Color
  sign_field: Color
  haze: Color


HOME = CityStyle(
  drive_side=1,
  camera_height=(1.2, 1.45),
  camera_pitch=(0.0, 0.06),
  camera_focal=(0.96, 1.14),
  bonnet=0.7,
  lanes={1: 0.82, 2: 0.18},
  lane_width=(3.0, 3.3),
  walk_width=(2.6, 4.6),
  bend=1 / 260,
  zones={
    'block': 0.5,
    'garden': 0.17,
    'park': 0.13,
    'wall': 0.1,
    'yard': 0.09,
    'rail': 0.05,
  },
  floors=(2, 5),
  frontage=(9.0, 22.0),
  gabled=0.65,
  brick=0.22,
  shops=0.4,
  balconies=0.2,
  plaster=_rgb(
    'd9cdb4 c9b79a cfc9bd b9a68a d8c08e c7a98b a9a49a bfb6b0 d9d3c6 b98f74'
    ' a67f68 8f8a84 c4b7a6 d6b59a 9c6a56 8d5a4a'
  ),
  roofs=_rgb('7a4a3a 8a5442 5d4a45 4b4b4f 6e3f33 55504e'),
  frames=_rgb('e6e4de d8d4ca 9b968e 5a4a40 f0efe9'),
  accents=_rgb('5b3a29 2f4a3c 2c3e57 6b2a2a 3b3b3e 7b6a4a 8c2f2f 1f4f7a'),
  walls=_rgb('a59c8e 8f877c b3a58d 94705c 7e7a76 a08a74'),
  fences=_rgb('6b5a48 4f4f4d 7d6a52 3c4a40 8a857c 9a9284'),
  trees={'round': 0.7, 'tall': 0.14, 'conifer': 0.12, 'bare': 0.04},
  leaves=_rgb('4c7028 557a2c 416526 5f7d2e 3a5f2a 6d7a2f'),
  grass=_rgb('7a8f3f 869648 6d8238 929552'),
  asphalt=_rgb('606063 58585c 69686a 525358'),
  paving=_rgb('9a948c a39c92 908880 8a8684 aba398'),
  centre_line=(0.86, 0.86, 0.84),
  cars=_rgb(
    '15171b 1d2127 9ea2a6 c4c7c9 e3e4e3 6d7278 23395e 7d1c20 2f4a7a 454a50'
    ' 5a1f24 3a4d42 8a7f6a dcdcda'
  ),
  buses=_rgb('c9a227 b3262b e0ddd4 3f6f9e 4d7d4a'),
  trams=_rgb('c8c3b4 b8312f d9c27a 4a7a9c'),
  trucks=_rgb('dedcd6 c8c7c3 2f5a8c 9c2f2c 3f6b4a b89b4a 7d7d7b'),
  traffic=1.2,
  vehicles={
    'car': 0.64,
    'truck': 0.1,
    'bus': 0.1,
    'motorcycle': 0.08,
    'bicycle': 0.1,
  },
  parked=0.5,
  people=6.0,
  tram=0.24,
  lamp='arm',
  pole_color=(0.42, 0.43, 0.43),
  signal_color=(0.12, 0.13, 0.12),
  sign_field=(0.93, 0.93, 0.92),
  haze=(1.0, 1.0, 1.0),
)

# Wide streets under a warm sun, traffic on the left, low stucco and tall glass.
OTHER = dataclasses.replace(
  HOME,
  drive_side=-1,
  camera_height=(1.5, 1.95),
  camera_pitch=(0.03, 0.09),
  camera_focal=(0.78, 0.94),
  bonnet=0.35,
  lanes={1: 0.4, 2: 0.52, 3: 0.08},
  lane_width=(3.3, 3.8),
  walk_width=(1.6, 3.2),
  bend=1 / 450,
  zones={
    'block': 0.34,
    'garden': 0.2,
    'park': 0.12,
    'wall': 0.15,
    'yard': 0.13,
    'rail': 0.06,
  },
  floors=(0, 9),
  frontage=(8.0, 30.0),
  gabled=0.15,
  brick=0.12,
  shops=0.55,
  balconies=0.45,
  plaster=_rgb(
    'e8d9b8 e3c49a d9a77c c98f6a f0e6d2 d3b7a2 8fb0b5 b7c9b4 e0b8a8 9fa8ad'
    ' cfd6d8 b56f50'
  ),
  roofs=_rgb('a5573a b5654a 8f8578 9aa0a2 b09a80'),
  frames=_rgb('f2f0e8 b08a5a 6b7d80 3f4a4c'),
  accents=_rgb('1f7a7a b5432f d08a2f 2f6fa5 7a3f6b 3f7a3f c9b23f'),
  walls=_rgb('d9c8a5 c9a07a b5876a e0d6c2 a59585'),
  fences=_rgb('8a8f90 b5a58a 5f6f6a c9c2b5 6f4a3a'),
  trees={'palm': 0.45, 'round': 0.3, 'tall': 0.1, 'conifer': 0.15},
  leaves=_rgb('6f8a3a 8a9440 5a7a4a 7a8f52 94903f'),
  grass=_rgb('a39a5a b0a266 94935a 8a8f4f'),
  asphalt=_rgb('7f7a74 8a847c 6f6d6b 928b82'),
  paving=_rgb('b8a58c c2b49c a58f7a b09a94'),
  centre_line=(0.85, 0.66, 0.2),
  cars=_rgb(
    'e8e6e0 d9c23a d9c23a c9cccd 2f6f8f a5322f 3f3f42 8fb5b0 c27a3a 5a6a3f'
    ' f0f0ee 6f8fa5'
  ),
  buses=_rgb('b5202a 2f8f6f e0872f 3f5fa5 c9c9c2'),
  trams=_rgb('2f7f5f e0a52f 8a2f4a c9d0d2'),
  trucks=_rgb('e0a52f 3f7fa5 c9452f e8e4da 5f8f4a 7a5a9a'),
  vehicles={
    'car': 0.5,
    'truck': 0.16,
    'bus': 0.12,
    'motorcycle': 0.14,
    'bicycle': 0.08,
  },
  parked=0.4,
  people=5.0,
  tram=0.22,
  lamp='top',
  pole_color=(0.55, 0.52, 0.46),
  signal_color=(0.62, 0.52, 0.14),
  sign_field=(0.93, 0.78, 0.2),
  haze=(1.02, 1.0, 0.96),
)
