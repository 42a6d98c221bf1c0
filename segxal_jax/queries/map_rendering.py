"""Pictures of maps: heat over the grey image, prompts, labels."""

import math
from collections.abc import Sequence

import cv2
import matplotlib
import numpy as np
from jaxtyping import Bool, Float, Integer, UInt8
from PIL import Image, ImageDraw

from common_lib.class_table import ClassTable
from fsnet_jax.report import palette
from segxal_jax.queries.regions import Region

_MIN_WIDTH_PX = 320
_MAX_WIDTH_PX = 512
# On a tile of `_MIN_WIDTH_PX`; larger tiles get larger dots.
_DOT_PX = 5


def photo(image: UInt8[np.ndarray, 'h w 3']) -> UInt8[np.ndarray, 'th tw 3']:
  """The image at the size of a tile."""
  return _resized(image, Image.Resampling.BICUBIC)


def dimmed(
  image: UInt8[np.ndarray, 'h w 3'], near: Float[np.ndarray, 'h w']
) -> UInt8[np.ndarray, 'th tw 3']:
  """The depth-informed image."""
  return photo(np.rint(image * near[..., None]).astype(np.uint8))


def scalar(
  values: Float[np.ndarray, 'h w'], colors: str = 'inferno'
) -> UInt8[np.ndarray, 'th tw 3']:
  """A map in [0, 1] in a perceptually uniform colour map."""
  picture = matplotlib.colormaps[colors](values, bytes=True)[..., :3]
  return _resized(np.ascontiguousarray(picture), Image.Resampling.BICUBIC)


def heat(
  image: UInt8[np.ndarray, 'h w 3'], values: Float[np.ndarray, 'h w']
) -> UInt8[np.ndarray, 'th tw 3']:
  """A map in [0, 1] over the grey image: where it is 0 the image shows."""
  ground = photo(image)
  luma = ground @ np.array([0.299, 0.587, 0.114])
  grey = np.repeat(0.35 * luma[..., None] + 20, 3, -1)
  large = Image.fromarray(values.astype(np.float32)).resize(
    (ground.shape[1], ground.shape[0]), Image.Resampling.BILINEAR
  )
  strength = np.clip(np.asarray(large), 0, 1)
  color = matplotlib.colormaps['inferno'](strength, bytes=True)[..., :3]
  opacity = (0.85 * np.sqrt(strength))[..., None]
  return np.rint((1 - opacity) * grey + opacity * color).astype(np.uint8)


def marked(
  image: UInt8[np.ndarray, 'h w 3'], mask: Bool[np.ndarray, 'h w']
) -> UInt8[np.ndarray, 'th tw 3']:
  """Pixels in red over the pale grey image."""
  luma = photo(image) @ np.array([0.299, 0.587, 0.114])
  pale = 150 + np.repeat(luma[..., None], 3, -1) * (105 / 255)
  tile = np.rint(pale).astype(np.uint8)
  tile[_resized_mask(mask)] = palette.ERROR
  return tile


def classes(
  label: UInt8[np.ndarray, 'h w'], table: ClassTable
) -> UInt8[np.ndarray, 'th tw 3']:
  """A label map in its colours; void is black."""
  return _resized(table.colorize(label), Image.Resampling.NEAREST)


def annotation(
  label: UInt8[np.ndarray, 'h w'],
  asked: Bool[np.ndarray, 'h w'],
  table: ClassTable,
) -> UInt8[np.ndarray, 'th tw 3']:
  """An answer: what the oracle labelled in full colour, the rest pale."""
  tile = classes(label, table).astype(np.float64)
  large = _resized_mask(asked)
  tile[~large] = 0.35 * tile[~large] + 0.65 * 235
  tile = np.rint(tile).astype(np.uint8)
  outlines, _ = cv2.findContours(
    large.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE
  )
  cv2.drawContours(tile, outlines, -1, palette.WHITE, 1, cv2.LINE_8)
  return tile


def prompts(
  tile: UInt8[np.ndarray, 'th tw 3'],
  segments: Integer[np.ndarray, 'h w'],
  regions: Sequence[Region],
) -> UInt8[np.ndarray, 'th tw 3']:
  """Outlines the selected regions and marks their prompt points."""
  scale = tile.shape[1] / segments.shape[1]
  asked = np.isin(segments, [region.id for region in regions])
  segments = np.where(asked, segments + 1, 0).astype(np.int32)
  large = cv2.resize(
    segments.astype(np.float32),
    (tile.shape[1], tile.shape[0]),
    interpolation=cv2.INTER_NEAREST,
  )
  border = np.zeros(large.shape, bool)
  border[:, 1:] |= large[:, 1:] != large[:, :-1]
  border[1:] |= large[1:] != large[:-1]
  drawn = tile.copy()
  drawn[border] = palette.WHITE
  picture = Image.fromarray(drawn)
  for region in regions:
    _dot(picture, region, scale)
  return np.array(picture)


def _dot(picture: Image.Image, region: Region, scale: float) -> None:
  """A magenta point with a white rim (the paper's Fig. 3d)."""
  radius = _DOT_PX * picture.width / _MIN_WIDTH_PX
  x, y = (region.column + 0.5) * scale, (region.row + 0.5) * scale
  ImageDraw.Draw(picture).ellipse(
    (x - radius, y - radius, x + radius, y + radius),
    fill=palette.PROMPT,
    outline=palette.WHITE,
    width=max(1, round(radius / 3)),
  )


def _tile_size(height: int, width: int) -> tuple[int, int]:
  if width < _MIN_WIDTH_PX:
    factor = math.ceil(_MIN_WIDTH_PX / width)
    return height * factor, width * factor
  if width > _MAX_WIDTH_PX:
    return max(1, round(height * _MAX_WIDTH_PX / width)), _MAX_WIDTH_PX
  return height, width


def _resized(picture: np.ndarray, resampling: Image.Resampling) -> np.ndarray:
  height, width = _tile_size(*picture.shape[:2])
  return np.array(Image.fromarray(picture).resize((width, height), resampling))


def _resized_mask(mask: np.ndarray) -> np.ndarray:
  return _resized(mask.astype(np.uint8), Image.Resampling.NEAREST) > 0
