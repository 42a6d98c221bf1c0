"""Lays titled pictures, swatches and a colour bar out on a white sheet."""

import functools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import matplotlib
import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

_BACKGROUND = (255, 255, 255)
_INK = (31, 39, 51)
_FAINT = (107, 116, 128)
_FRAME = (182, 189, 198)

_MARGIN_PX = 12
_GAP_PX = 10
_TITLE_PX = 24
_HEADING_PX = 30
_FONT_PX = 14
_SWATCH_PX = 14
_BAR_SIZE_PX = (14, 240)


class ColorBar(NamedTuple):
  """A colour scale.

  Attributes:
    title: what the colours mean.
    colors: uint8 [n, 3] from the low to the high end.
    ticks: position in [0, 1] and text of each mark.
  """

  title: str
  colors: UInt8[np.ndarray, 'n 3']
  ticks: Sequence[tuple[float, str]]


def grid(
  tiles: Sequence[tuple[str, UInt8[np.ndarray, 'th tw 3']]],
  columns: int,
  heading: str,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Arranges titled pictures of one size in rows, below a heading.

  Args:
    tiles: title and RGB picture of each.
    columns: pictures in a row.
    heading: a line above them.

  Returns:
    The sheet, RGB on white.
  """
  height, width = tiles[0][1].shape[:2]
  rows = -(-len(tiles) // columns)
  sheet = Image.new(
    'RGB',
    (
      2 * _MARGIN_PX + columns * width + (columns - 1) * _GAP_PX,
      _HEADING_PX + rows * (_TITLE_PX + height + _GAP_PX),
    ),
    _BACKGROUND,
  )
  draw = ImageDraw.Draw(sheet)
  _text(
    draw,
    (_MARGIN_PX, 8),
    heading,
    _INK,
    bold=True,
    width_px=sheet.width - 2 * _MARGIN_PX,
  )
  for index, (title, picture) in enumerate(tiles):
    row, column = divmod(index, columns)
    x = _MARGIN_PX + column * (width + _GAP_PX)
    y = _HEADING_PX + row * (_TITLE_PX + height + _GAP_PX)
    _text(draw, (x, y + 4), title, _INK, width_px=width)
    y += _TITLE_PX
    sheet.paste(Image.fromarray(picture), (x, y))
    # Outside the picture, so that no pixel of it is covered.
    draw.rectangle((x - 1, y - 1, x + width, y + height), outline=_FRAME)
  return np.array(sheet)


def legend(
  swatches: Sequence[tuple[tuple[int, int, int], str]],
  bar: ColorBar,
  width_px: int,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Draws colour swatches with their names, then a colour bar.

  Args:
    swatches: RGB colour and name of each.
    bar: the colour scale.
    width_px: width of the result; swatches wrap into lines.

  Returns:
    The legend, RGB on white.
  """
  places, bottom = _flow([name for _, name in swatches], width_px)
  bar_height, bar_width = _BAR_SIZE_PX
  title_width = round(_font(False).getlength(bar.title)) + 14
  # The title stands beside the bar where there is room, else above.
  beside = title_width + bar_width + 3 * _MARGIN_PX <= width_px
  bar_x = _MARGIN_PX + (title_width if beside else 0)
  bar_y = bottom + 10 + (0 if beside else _TITLE_PX)
  sheet = Image.new(
    'RGB', (width_px, bar_y + bar_height + _TITLE_PX + _MARGIN_PX), _BACKGROUND
  )
  draw = ImageDraw.Draw(sheet)
  for (color, name), (x, y) in zip(swatches, places):
    draw.rectangle(
      (x, y + 2, x + _SWATCH_PX, y + 2 + _SWATCH_PX), color, _FRAME
    )
    _text(draw, (x + _SWATCH_PX + 6, y), name, _INK)
  _text(draw, (_MARGIN_PX, bottom + 8), bar.title, _INK)
  colors = Image.fromarray(bar.colors[None]).resize((bar_width, bar_height))
  sheet.paste(colors, (bar_x, bar_y))
  for position, name in bar.ticks:
    x = bar_x + round(position * (bar_width - 1))
    draw.line((x, bar_y + bar_height, x, bar_y + bar_height + 4), _FAINT)
    shift = _font(False).getlength(name) * position
    _text(draw, (round(x - shift), bar_y + bar_height + 5), name, _FAINT)
  return np.array(sheet)


def stack(
  sheets: Sequence[UInt8[np.ndarray, '_ _ 3']],
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Puts sheets below each other, left-aligned on white.

  Args:
    sheets: RGB pictures of any size, at least one.

  Returns:
    One RGB picture.
  """
  width = max(sheet.shape[1] for sheet in sheets)
  padded = [
    np.pad(
      sheet,
      ((0, 0), (0, width - sheet.shape[1]), (0, 0)),
      constant_values=255,
    )
    for sheet in sheets
  ]
  return np.concatenate(padded)


def _flow(
  names: Sequence[str], width_px: int
) -> tuple[list[tuple[int, int]], int]:
  """Returns the place of each swatch in wrapped lines, and the bottom."""
  x, y, places = _MARGIN_PX, 6, []
  for name in names:
    needed = _SWATCH_PX + 6 + round(_font(False).getlength(name))
    if x > _MARGIN_PX and x + needed > width_px - _MARGIN_PX:
      x, y = _MARGIN_PX, y + 22
    places.append((x, y))
    x += needed + 16
  return places, y + 22


def _text(
  draw: ImageDraw.ImageDraw,
  place: tuple[int, int],
  text: str,
  color: tuple[int, int, int],
  bold: bool = False,
  width_px: int | None = None,
) -> None:
  """Writes one line, cut with an ellipsis where the width is given."""
  font = _font(bold)
  if width_px is not None:
    while len(text) > 1 and font.getlength(text) > width_px:
      text = text[:-2] + '\N{HORIZONTAL ELLIPSIS}'
  draw.text(place, text, fill=color, font=font)


@functools.cache
def _font(bold: bool) -> ImageFont.FreeTypeFont:
  """Returns the font that matplotlib ships, so no system font is needed."""
  name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
  path = pathlib.Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / name
  return ImageFont.truetype(str(path), _FONT_PX)
