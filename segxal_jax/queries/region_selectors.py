"""How a strategy points within an image that it has chosen.

SegXAL points at whole regions and its oracle decides what stands for them;
the sparse strategies ask about exactly the pixels that they name
(`sparse.SparseHuman` answers). Each way is a cut of the image into numbered
segments, the regions asked about first, and nothing else of the loop knows.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from common_lib.errors import UserError
from segxal_jax.config import builders
from segxal_jax.queries import regions
from segxal_jax.queries.regions import Region, RegionOptions


class Pointed(NamedTuple):
  """What is asked about in an image.

  Attributes:
    segments: int32 [h w], numbers of the regions.
    regions: those asked about, most wanted first.
  """

  segments: Any
  regions: tuple[Region, ...]


@runtime_checkable
class Asks(Protocol):
  """Points at parts of an image.

  Attributes:
    guide: name of the map that ranks them, see `explain_step.GUIDES`.
    exact: whether exactly the pixels of the regions are asked about; else
      the oracle decides what a region stands for.
  """

  guide: str
  exact: bool

  def point(
    self,
    image: UInt8[np.ndarray, 'h w 3'],
    guide: Float[np.ndarray, 'h w'],
    usable: Bool[np.ndarray, 'h w'],
    rng: np.random.Generator,
  ) -> Pointed:
    """Chooses the regions.

    Args:
      image: RGB.
      guide: the map, higher = ask here.
      usable: pixels that may be asked about.
      rng: the only source of chance.
    """
    ...


@dataclasses.dataclass(frozen=True)
class RankedRegions:
  """Superpixels or patches with the highest mean of the error mask."""

  options: RegionOptions
  guide: str = 'eem'
  exact: bool = False

  def point(self, image, guide, usable, rng) -> Pointed:
    """See `Asks`."""
    del rng
    segments = regions.segment(image, self.options)
    ranked = regions.rank(guide, segments, usable, self.options.count)
    return Pointed(segments, tuple(ranked))


@dataclasses.dataclass(frozen=True)
class Pixels:
  """Single pixels, drawn from the most uncertain ones (PixelPick, 2021).

  Ranking alone would put all of them side by side on one border; drawing from
  the top spreads them.

  Attributes:
    count: pixels asked about in an image.
    share: of the usable pixels, the most uncertain, among which they are
      drawn.
  """

  count: int
  share: float
  guide: str = 'margin'
  exact: bool = True

  def point(self, image, guide, usable, rng) -> Pointed:
    """See `Asks`; in the order of the draw."""
    del image
    places = np.flatnonzero(usable)
    order = places[np.argsort(-guide.ravel()[places], kind='stable')]
    top = order[: max(self.count, round(self.share * len(places)))]
    drawn = rng.choice(top, min(self.count, len(top)), replace=False)
    return _numbered(guide, [_square(guide.shape, int(p), 0) for p in drawn])


@dataclasses.dataclass(frozen=True)
class Windows:
  """Squares around the highest values, none over another (RIPU, 2022).

  Attributes:
    count: squares asked about in an image.
    radius: k of the square's side 2 k + 1, pixels; cut off at the border.
  """

  count: int
  radius: int
  guide: str = 'ripu'
  exact: bool = True

  def point(self, image, guide, usable, rng) -> Pointed:
    """See `Asks`; equal values in reading order."""
    del image, rng
    left = np.where(usable, guide, -np.inf).astype(np.float64)
    taken = []
    for _ in range(self.count):
      place = int(np.argmax(left))
      if not np.isfinite(left.ravel()[place]):
        break
      taken.append(_square(guide.shape, place, self.radius))
      # Centres within 2 k would give squares that share pixels.
      left[_square(guide.shape, place, 2 * self.radius).rows_columns] = -np.inf
    return _numbered(guide, taken)


@dataclasses.dataclass(frozen=True)
class Cells:
  """Cells of a grid with the highest mean, none at the border (S4AL, 2023).

  Attributes:
    count: cells asked about in an image.
    side: of a cell, pixels.
  """

  count: int
  side: int
  guide: str = 'entropy'
  exact: bool = True

  def point(self, image, guide, usable, rng) -> Pointed:
    """See `Asks`; an image of fewer than 3 x 3 cells has only border: all."""
    del image, rng
    height, width = guide.shape
    segments = regions.patches((height, width), self.side)
    rows, columns = -(-height // self.side), -(-width // self.side)
    inner = np.zeros((rows, columns), bool)
    inner[1:-1, 1:-1] = True
    allowed = usable & (inner.ravel()[segments] if inner.any() else True)
    ranked = regions.rank(guide, segments, allowed, self.count)
    return Pointed(segments, tuple(ranked))


class _Square(NamedTuple):
  row: int
  column: int
  rows_columns: tuple[slice, slice]


def _square(size: tuple[int, ...], place: int, radius: int) -> _Square:
  row, column = divmod(place, size[1])
  return _Square(
    row,
    column,
    (
      slice(max(0, row - radius), row + radius + 1),
      slice(max(0, column - radius), column + radius + 1),
    ),
  )


def _numbered(guide: np.ndarray, squares: list[_Square]) -> Pointed:
  """Numbers disjoint squares from 1 in their order; the rest is 0."""
  segments: Int32[np.ndarray, 'h w'] = np.zeros(guide.shape, np.int32)
  for number, square in enumerate(squares, 1):
    segments[square.rows_columns] = number
  return Pointed(
    segments,
    tuple(
      Region(number, float(guide[s.row, s.column]), s.row, s.column)
      for number, s in enumerate(squares, 1)
    ),
  )


def create(config: Any, way: str) -> Asks:
  """The way of asking of a strategy.

  Args:
    config: of the run.
    way: `Means.asks` of the strategy: 'regions', 'pixels', 'windows' or
      'cells'.

  Raises:
    UserError: the oracle cannot answer about single pixels.
  """
  asked = config.acquisition
  if way == 'regions':
    return RankedRegions(builders.region_options(config))
  if config.oracle.kind != 'simulated_human':
    raise UserError(
      f'config.acquisition.strategy={asked.strategy} asks about {way}, which '
      f'config.oracle.kind={config.oracle.kind} cannot answer: set it to '
      'simulated_human.'
    )
  if way == 'pixels':
    return Pixels(asked.pixels, asked.pixel_share)
  if way == 'windows':
    return Windows(config.regions.count, asked.window)
  if way == 'cells':
    return Cells(config.regions.count, asked.cell)
  raise ValueError(f'unknown way of asking {way!r}')
