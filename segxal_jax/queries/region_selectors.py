"""What selects regions within the images of a query.

SegXAL selects whole regions and its oracle decides which objects they stand
for; the sparse strategies select exactly the pixels that get a label
(`simulated_clicks.SparseHuman` answers). A region selector cuts an image into
numbered segments and returns the selected ones, best first; nothing else of
the loop depends on which it is.
"""

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from segxal_jax.queries import regions
from segxal_jax.queries.regions import Region, RegionOptions


class SelectedRegions(NamedTuple):
  """The regions of an image that a query is about.

  Attributes:
    segments: int32 [h w], numbers of all regions of the image.
    regions: the selected ones, highest score first.
  """

  segments: Any
  regions: tuple[Region, ...]


@runtime_checkable
class RegionSelector(Protocol):
  """Selects regions of an image."""

  @property
  def guide(self) -> str:
    """Name of the map that ranks them.

    'eem', 'entropy', 'margin', 'least_confidence' or 'ripu'.
    """
    ...

  @property
  def exact(self) -> bool:
    """Whether exactly the pixels of the regions get a label.

    Else the oracle decides which objects a region stands for.
    """
    ...

  def select(
    self,
    image: UInt8[np.ndarray, 'h w 3'],
    guide: Float[np.ndarray, 'h w'],
    usable: Bool[np.ndarray, 'h w'],
    rng: np.random.Generator,
  ) -> SelectedRegions:
    """Selects the regions.

    Args:
      image: RGB.
      guide: the map; higher = label this first.
      usable: pixels that may be selected.
      rng: the only source of chance.
    """
    ...


@dataclasses.dataclass(frozen=True)
class RankedRegions:
  """Superpixels or patches with the highest mean of the error mask."""

  options: RegionOptions
  guide: str = 'eem'
  exact: bool = False

  def select(self, image, guide, usable, rng) -> SelectedRegions:
    """See `RegionSelector`."""
    del rng
    segments = regions.segment(image, self.options)
    ranked = regions.rank(guide, segments, usable, self.options.count)
    return SelectedRegions(segments, tuple(ranked))


@dataclasses.dataclass(frozen=True)
class Pixels:
  """Single pixels, drawn from the most uncertain ones (PixelPick, 2021).

  Ranking alone would put all of them side by side on one border; drawing from
  the top spreads them.

  Attributes:
    count: pixels selected in an image.
    share: of the usable pixels, the most uncertain, among which they are
      drawn.
  """

  count: int
  share: float
  guide: str = 'margin'
  exact: bool = True

  def select(self, image, guide, usable, rng) -> SelectedRegions:
    """See `RegionSelector`; in the order of the draw."""
    del image
    indices = np.flatnonzero(usable)
    order = indices[np.argsort(-guide.ravel()[indices], kind='stable')]
    top = order[: max(self.count, round(self.share * len(indices)))]
    drawn = rng.choice(top, min(self.count, len(top)), replace=False)
    return _numbered(guide, [_square(guide.shape, int(p), 0) for p in drawn])


@dataclasses.dataclass(frozen=True)
class Windows:
  """Squares around the highest values, none over another (RIPU, 2022).

  Attributes:
    count: squares selected in an image.
    radius: k of the square's side 2 k + 1, pixels; cut off at the border.
  """

  count: int
  radius: int
  guide: str = 'ripu'
  exact: bool = True

  def select(self, image, guide, usable, rng) -> SelectedRegions:
    """See `RegionSelector`; equal values in reading order."""
    del image, rng
    left = np.where(usable, guide, -np.inf).astype(np.float64)
    taken = []
    for _ in range(self.count):
      index = int(np.argmax(left))
      if not np.isfinite(left.ravel()[index]):
        break
      taken.append(_square(guide.shape, index, self.radius))
      # Centres within 2 k would give squares that share pixels.
      left[_square(guide.shape, index, 2 * self.radius).rows_columns] = -np.inf
    return _numbered(guide, taken)


@dataclasses.dataclass(frozen=True)
class Cells:
  """Cells of a grid with the highest mean, none at the border (S4AL, 2023).

  Attributes:
    count: cells selected in an image.
    side: of a cell, pixels.
  """

  count: int
  side: int
  guide: str = 'entropy'
  exact: bool = True

  def select(self, image, guide, usable, rng) -> SelectedRegions:
    """See `RegionSelector`.

    An image of fewer than 3 x 3 cells has only border: all of it counts.
    """
    del image, rng
    height, width = guide.shape
    segments = regions.patches((height, width), self.side)
    rows, columns = -(-height // self.side), -(-width // self.side)
    inner = np.zeros((rows, columns), bool)
    inner[1:-1, 1:-1] = True
    allowed = usable & (inner.ravel()[segments] if inner.any() else True)
    ranked = regions.rank(guide, segments, allowed, self.count)
    return SelectedRegions(segments, tuple(ranked))


class _Square(NamedTuple):
  row: int
  column: int
  rows_columns: tuple[slice, slice]


def _square(size: tuple[int, ...], index: int, radius: int) -> _Square:
  row, column = divmod(index, size[1])
  return _Square(
    row,
    column,
    (
      slice(max(0, row - radius), row + radius + 1),
      slice(max(0, column - radius), column + radius + 1),
    ),
  )


def _numbered(guide: np.ndarray, squares: list[_Square]) -> SelectedRegions:
  """Numbers disjoint squares from 1 in their order; the rest is 0."""
  segments: Int32[np.ndarray, 'h w'] = np.zeros(guide.shape, np.int32)
  for number, square in enumerate(squares, 1):
    segments[square.rows_columns] = number
  return SelectedRegions(
    segments,
    tuple(
      Region(number, float(guide[s.row, s.column]), s.row, s.column)
      for number, s in enumerate(squares, 1)
    ),
  )
