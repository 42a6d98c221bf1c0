"""Patterns of surfaces, computed where the samples lie in the world.

All functions take flat float32 arrays of one length n, one entry per sample,
and return factors or colours for them. A pattern finer than `footprint` (the
width of a sample on the surface, metres) fades to its mean instead of
flickering.
"""

from __future__ import annotations

import cv2
import numpy as np

from street_scenes.objects.buildings import ACCENT, COLUMNS, FRAME

_TILE = 256


def _noise_tile() -> np.ndarray:
  """Returns float32 [256 * 256] of smooth noise in about -1..1, tileable."""
  generator = np.random.default_rng(11)
  total = np.zeros((_TILE, _TILE), np.float32)
  weight = 1.0
  for cells in (8, 16, 32, 64, 128):
    grid = generator.uniform(-1, 1, (cells, cells)).astype(np.float32)
    scale = _TILE // cells
    wide = cv2.resize(
      np.pad(grid, 2, mode='wrap'),
      None,
      fx=scale,
      fy=scale,
      interpolation=cv2.INTER_CUBIC,
    )
    total += weight * wide[2 * scale : -2 * scale, 2 * scale : -2 * scale]
    weight *= 0.62
  return (total / total.std() / 2).reshape(-1)


_NOISE = _noise_tile()
_GRAIN = (
  np.random.default_rng(12).uniform(-1, 1, _TILE * _TILE).astype(np.float32)
)


def _cell(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Returns the position in a tile; whole numbers are neighbouring cells."""
  # The offset keeps the numbers positive, so that truncation rounds down.
  column = (u + 65536.0).astype(np.int32) & (_TILE - 1)
  row = (v + 65536.0).astype(np.int32) & (_TILE - 1)
  return (row << 8) | column


def noise(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Returns smooth noise, about -1..1; features of 2 to 32 units."""
  return _NOISE[_cell(u, v)]


def grain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
  """Returns independent noise per unit square, -1..1."""
  return _GRAIN[_cell(u, v)]


def fade(footprint: np.ndarray, size: float | np.ndarray) -> np.ndarray:
  """Returns how much of a pattern of this size is left, 0..1."""
  ratio = footprint / size
  return 1 / (1 + ratio * ratio)


def split(u: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns whole and fractional part; faster than `np.divmod`."""
  whole = np.floor(u)
  return whole, u - whole


def plain(u, v, footprint):
  """Returns factors for a slightly dirty surface."""
  return 1 + 0.07 * noise(u * 9, v * 9) * fade(footprint, 0.5)


def leaves(x, y, z, footprint):
  """Returns factors for leaves: light ones and dark gaps between them."""
  u, v = 14 * (x + 0.7 * z), 14 * (y + 0.45 * z)
  clumps = noise(u, v)
  single = noise(3.1 * u, 3.1 * v) * fade(footprint, 0.06)
  return np.maximum(1 + 0.34 * clumps + 0.22 * single, 0.3)


def grass(x, z, footprint):
  """Returns factors for grass."""
  blades = grain(x * 30, z * 12) * fade(footprint, 0.05)
  return 1 + 0.2 * noise(x * 6, z * 6) + 0.13 * blades


def boards(u, v, footprint):
  """Returns factors for upright boards of 15 cm."""
  board, place = split(u / 0.15)
  gap = (place < 0.14) * fade(footprint, 0.06)
  shade = grain(board, board * 0) * 0.12 * fade(footprint, 0.15)
  return (1 + shade + 0.06 * noise(u * 20, v * 4)) * (1 - 0.5 * gap)


def masonry(u, v, footprint, course: float, length: float, contrast):
  """Returns factors for bricks or blocks with joints and stains.

  Args:
    u, v: metres along the wall and up.
    footprint: metres.
    course: height of a row, metres.
    length: of a stone, metres.
    contrast: of stones and joints, number or array.
  """
  row, in_row = split(v / course)
  stone, in_stone = split(u / length + 0.5 * row)
  left = fade(footprint, 0.6 * course)
  joint = (in_row < 0.14) | (in_stone < 0.14 * course / length)
  tone = grain(stone, row) * 0.7 - 0.9 * joint
  return stains(u, v) + contrast * tone * left


def stains(u, v):
  """Returns factors for a wall that is darker near the ground."""
  return (1 + 0.1 * noise(u * 5, v * 7)) * (0.86 + 0.117 * np.minimum(v, 1.2))


def roof(u, v, footprint):
  """Returns factors for rows of tiles."""
  row, in_row = split(v / 0.2)
  rows = ((in_row < 0.22) * -0.28) * fade(footprint, 0.12)
  return 1 + rows + 0.12 * noise(u * 5, row * 3)


def pickets_open(u, v):
  """Returns which samples look between the pickets of a fence."""
  place = split(u / 0.16)[1]
  return (place > 0.45) & (v > 0.12)


def mesh_open(u, v):
  """Returns which samples look through a wire fence."""
  first = split((u + v) / 0.14)[1]
  second = split((u - v) / 0.14)[1]
  post = split(u / 2.5)[1]
  return (first > 0.24) & (second > 0.24) & (post > 0.03)


def spokes_open(
  radius: np.ndarray, up: np.ndarray, along: np.ndarray
) -> np.ndarray:
  """Returns which samples look through a wheel of radius 1.

  Args:
    radius: distance from the hub.
    up, along: the same as a vector of any length.
  """
  spoke = split(np.arctan2(up, along) * (12 / (2 * np.pi)))[1] < 0.16
  return (radius < 0.84) & (radius > 0.14) & ~spoke


class FacadePattern:
  """Windows, doors, shops and masonry of facades."""

  def __init__(
    self,
    u: np.ndarray,
    v: np.ndarray,
    footprint: np.ndarray,
    table: np.ndarray,
  ):
    """Finds out which part of its facade each sample lies on.

    Args:
      u: metres along the facade.
      v: metres above the ground.
      footprint: metres.
      table: float32 [18 n], the facade's row of each sample as a column.
    """
    self._u, self._v, self._footprint, self._table = u, v, footprint, table
    pitch = self._get('pitch')
    self._column, across = split(u / pitch)
    upper = v - self._get('ground')
    self._row, up = split(upper / self._get('floor'))
    self._in_ground = upper < 0
    self._across = np.abs(across - 0.5)
    self._up = up
    number = np.floor(self._get('number'))
    self._number = number
    # Two random numbers per window.
    self._first = grain(self._column + 17 * self._row, number + self._row)
    self._second = grain(self._column * 3 + 101, number + 7 * self._row)
    self._left = fade(footprint, 0.35 * pitch)
    self._upper_floors()
    self._ground_floor()

  def _get(self, name: str) -> np.ndarray:
    return self._table[COLUMNS[name]]

  def _upper_floors(self) -> None:
    half_width = self._get('window_width') / 2
    half_height = self._get('window_height') / 2
    level = np.abs(self._up - 0.52)
    below_eaves = self._v < self._get('height') - 0.7
    allowed = ~self._in_ground & below_eaves
    edge_x, edge_y = 0.09 / self._get('pitch'), 0.09 / self._get('floor')
    self.glass = allowed & (self._across < half_width) & (level < half_height)
    outer = (
      allowed
      & (self._across < half_width + edge_x)
      & (level < half_height + edge_y)
    )
    bar = self.glass & (self._across < 0.3 * edge_x)
    self.frame = (outer & ~self.glass) | bar
    self.glass &= ~bar
    self.shutter = (
      allowed
      & (self._get('shutters') > 0)
      & (level < half_height)
      & (self._across > half_width + edge_x)
      & (self._across < half_width * 1.5 + edge_x)
    )
    self.balcony = (
      allowed
      & (self._get('balcony') > 0)
      & (self._up < 0.32)
      & (self._across < half_width + 3 * edge_x)
      & (split(self._column * 0.5)[1] == 0)
    )

  def _ground_floor(self) -> None:
    """Adds shop windows or doors."""
    shop = self._in_ground & (self._get('shop') > 0)
    house = self._in_ground & ~shop
    v = self._v
    pane = shop & (v > 0.45) & (v < 2.6) & (self._across < 0.44)
    self.sign = shop & (v > 2.7) & (v < self._get('ground') - 0.1)
    turn = (self._column + self._number) * 0.25
    door_column = split(turn)[1] == 0
    door = house & door_column & (v < 2.25)
    self.door = door & (self._across < 0.5 / self._get('pitch'))
    window = (
      house
      & ~door_column
      & (v > 0.95)
      & (v < 2.35)
      & (self._across < self._get('window_width') / 2)
    )
    self.glass |= pane | window
    surround = door & (self._across < 0.62 / self._get('pitch'))
    self.frame |= surround & ~self.door
    self.pane = pane

  def paint(
    self, color: tuple[np.ndarray, ...], sky: tuple[float, float, float]
  ) -> None:
    """Paints the pattern over the plaster.

    Args:
      color: float32 [n], red, green and blue of the plaster; changed in place.
      sky: what window panes mirror.
    """
    v, left = self._v, self._left
    wall = self._wall()
    band = (self._up < 0.05) & ~self._in_ground
    eaves = v > self._get('height') - 0.35
    wall += self._get('band') * (band | eaves) * left
    wall -= 0.18 * ((v < 0.55) | (self._in_ground & (v > 2.6)))
    shine = 0.22 + 0.16 * self._first + 0.25 * self._up
    shine = np.where(self.pane, 0.2 + 0.12 * self._second, shine)
    curtain = 0.05 + 0.22 * ((self._second > 0.45) & ~self.pane)
    letters = grain(self._u * 2.2, self._column) > 0.35
    letters &= np.abs(v - self._get('ground') + 0.45) < 0.16
    rail = split(self._u / 0.2)[1] < 0.5
    layers = (
      (self.shutter | self.door, lambda i, at: self._table[ACCENT][i][at]),
      (self.frame, lambda i, at: self._table[FRAME][i][at]),
      (self.glass, lambda i, at: shine[at] * sky[i] + curtain[at]),
      (
        self.sign,
        lambda i, at: np.where(
          letters[at], 0.92, 1.25 * self._table[ACCENT][i][at]
        ),
      ),
      (
        self.balcony & (rail | (self._up < 0.06)),
        lambda i, at: 0.5 * self._table[FRAME][i][at],
      ),
    )
    for channel in color:
      channel *= wall
    for where, paint in layers:
      at = np.flatnonzero(where)
      # Less and less where the pattern becomes too fine.
      part = left[at]
      for i, channel in enumerate(color):
        before = channel[at]
        channel[at] = before + part * (paint(i, at) - before)

  def _wall(self) -> np.ndarray:
    """Returns factors for plaster or bricks."""
    contrast = self._get('brick')
    at = np.flatnonzero(contrast > 0)
    wall = stains(self._u, self._v)
    wall[at] = masonry(
      self._u[at], self._v[at], self._footprint[at], 0.16, 0.5, contrast[at]
    )
    return wall

  def lit(self, odds: float) -> np.ndarray:
    """Returns float32 [n], the light that windows give at night.

    Args:
      odds: that a window is lit.
    """
    on = self.glass & (self._first < 2 * odds - 1)
    on |= self.pane & (self._second < 3 * odds - 1)
    return (0.55 + 0.3 * self._second) * self._left * on
