"""Lays titled pictures, swatches and a colour bar out on a white sheet.

By Pillow: matplotlib has no legend whose entries flow into lines, needs every
length in pixels too (`figimage`, for pictures that stay as they are), and took
7 to 19 times as long for a sheet (1.6 s instead of 0.15 s for 39 pictures of
256x512) in as many lines.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from fsnet_jax.report import palette

_BACKGROUND = palette.rgb(palette.LIGHT.picture)
_INK = palette.rgb(palette.LIGHT.ink)
_FAINT = palette.rgb(palette.LIGHT.faint)
_FRAME = palette.rgb(palette.LIGHT.edge)

# At scale 1; a sheet of large pictures is shown smaller, so its writing grows.
_MARGIN_PX = 12
_GAP_PX = 10
_TITLE_PX = 24
_HEADING_PX = 30
_FONT_PX = 14
_SWATCH_PX = 14
_BAR_HEIGHT_PX = 14
_BAR_WIDTH_PX = 240


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
  scale: float = 1.0,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Arranges titled pictures of one size in rows, below a heading.

  Args:
    tiles: title and RGB picture of each.
    columns: pictures in a row.
    heading: a line above them.
    scale: size of writing and gaps; the pictures stay as they are.

  Returns:
    The sheet, RGB on white.
  """
  margin, gap, title_height, heading_height = (
    round(value * scale)
    for value in (_MARGIN_PX, _GAP_PX, _TITLE_PX, _HEADING_PX)
  )
  height, width = tiles[0][1].shape[:2]
  rows = -(-len(tiles) // columns)
  sheet_width = 2 * margin + columns * width + (columns - 1) * gap
  sheet_height = heading_height + rows * (title_height + height + gap)
  sheet = Image.new('RGB', (sheet_width, sheet_height), _BACKGROUND)
  draw = ImageDraw.Draw(sheet)
  bold = _font(scale, bold=True)
  text = _cut(heading, bold, sheet_width - 2 * margin)
  draw.text((margin, round(8 * scale)), text, _INK, bold)
  font = _font(scale)
  for index, (title, picture) in enumerate(tiles):
    row, column = divmod(index, columns)
    x = margin + column * (width + gap)
    y = heading_height + row * (title_height + height + gap)
    draw.text((x, y + round(4 * scale)), _cut(title, font, width), _INK, font)
    y += title_height
    sheet.paste(Image.fromarray(picture), (x, y))
    # Outside the picture, so that no pixel of it is covered.
    draw.rectangle((x - 1, y - 1, x + width, y + height), outline=_FRAME)
  return np.array(sheet)


def legend(
  swatches: Sequence[tuple[tuple[int, int, int], str]],
  bar: ColorBar,
  width_px: int,
  scale: float = 1.0,
) -> UInt8[np.ndarray, 'ph pw 3']:
  """Draws colour swatches with their names, then a colour bar.

  Args:
    swatches: RGB colour and name of each.
    bar: the colour scale.
    width_px: width of the result; swatches wrap into lines.
    scale: size of writing, swatches and bar.

  Returns:
    The legend, RGB on white.
  """
  font = _font(scale)
  margin, side = round(_MARGIN_PX * scale), round(_SWATCH_PX * scale)
  places, bottom = _flow([name for _, name in swatches], width_px, scale)
  # The title of the bar stands beside it where there is room, else above.
  beside = round(font.getlength(bar.title)) + margin
  bar_x, bar_y = margin, bottom + round(10 * scale)
  if bar_x + beside + _BAR_WIDTH_PX * scale + margin <= width_px:
    bar_x += beside
  else:
    bar_y += round(_TITLE_PX * scale)
  height = bar_y + round((_BAR_HEIGHT_PX + _TITLE_PX) * scale) + margin
  sheet = Image.new('RGB', (width_px, height), _BACKGROUND)
  draw = ImageDraw.Draw(sheet)
  for (color, name), (x, y) in zip(swatches, places):
    top = y + round(2 * scale)
    draw.rectangle((x, top, x + side, top + side), color, _FRAME)
    draw.text((x + side + round(6 * scale), y), name, _INK, font)
  draw.text((margin, bottom + round(8 * scale)), bar.title, _INK, font)
  _draw_bar(sheet, bar, (bar_x, bar_y), scale)
  return np.array(sheet)


def _draw_bar(
  sheet: Image.Image, bar: ColorBar, place: tuple[int, int], scale: float
) -> None:
  """Draws the colours with their marks below."""
  font, draw = _font(scale), ImageDraw.Draw(sheet)
  width, height = round(_BAR_WIDTH_PX * scale), round(_BAR_HEIGHT_PX * scale)
  left, top = place
  colors = Image.fromarray(bar.colors[None]).resize((width, height))
  sheet.paste(colors, place)
  bottom = top + height
  for position, name in bar.ticks:
    x = left + round(position * (width - 1))
    draw.line((x, bottom, x, bottom + round(4 * scale)), _FAINT)
    # The outer marks stay within the bar.
    x -= round(font.getlength(name) * position)
    draw.text((x, bottom + round(5 * scale)), name, _FAINT, font)


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
  names: Sequence[str], width_px: int, scale: float
) -> tuple[list[tuple[int, int]], int]:
  """Returns the place of each swatch in wrapped lines, and the bottom."""
  font = _font(scale)
  margin, line = round(_MARGIN_PX * scale), round(22 * scale)
  x, y, places = margin, round(6 * scale), []
  for name in names:
    needed = round((_SWATCH_PX + 6) * scale + font.getlength(name))
    if x > margin and x + needed > width_px - margin:
      x, y = margin, y + line
    places.append((x, y))
    x += needed + round(16 * scale)
  return places, y + line


def _cut(text: str, font: ImageFont.FreeTypeFont, width_px: int) -> str:
  """Returns the text, cut with an ellipsis where it is too wide."""
  while len(text) > 1 and font.getlength(text) > width_px:
    text = text[:-2] + '\N{HORIZONTAL ELLIPSIS}'
  return text


@functools.cache
def _font(scale: float, bold: bool = False) -> ImageFont.FreeTypeFont:
  """Returns the font that matplotlib ships, so no system font is needed."""
  import matplotlib  # Slow, and needed at the end of a command alone.

  name = 'DejaVuSans-Bold.ttf' if bold else 'DejaVuSans.ttf'
  path = pathlib.Path(matplotlib.get_data_path()) / 'fonts' / 'ttf' / name
  return ImageFont.truetype(str(path), round(_FONT_PX * scale))
