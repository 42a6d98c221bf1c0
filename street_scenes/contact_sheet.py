"""A page of drawn scenes, to look at."""

from __future__ import annotations

import numpy as np
from PIL import Image

from common_lib.class_table import CITYSCAPES
from street_scenes.render.domains import DOMAINS, draw

_GAP = 4


def contact_sheet(
  size: tuple[int, int],
  *,
  domains: tuple[str, ...] = DOMAINS,
  columns: int = 2,
  seed: int = 0,
  start: int = 0,
  split: str = 'train',
) -> np.ndarray:
  """Draws a page: a row per domain, a column per scene.

  Each scene is shown as picture, picture with labels, and depth (near = light,
  logarithmic).

  Args:
    size: (h, w) of each picture.
    domains: of `DOMAINS`, the rows.
    columns: scenes per row.
    seed: of the scenes.
    start: number of the first scene.
    split: of the scenes.

  Returns:
    uint8 [rows, columns, 3], RGB.
  """
  rows = []
  for domain in domains:
    cells = []
    for index in range(start, start + columns):
      picture = draw(domain, split, index, size, seed)
      colors = CITYSCAPES.colorize(picture.label)
      overlay = (0.4 * picture.image + 0.6 * colors).astype(np.uint8)
      cells += [picture.image, overlay, depth_image(picture.depth)]
    rows.append(_join(cells, axis=1))
  return _join(rows, axis=0)


def depth_image(depth: np.ndarray) -> np.ndarray:
  """Paints depth [h, w] in metres as grey uint8 [h, w, 3], near = light."""
  share = np.log(np.maximum(depth, 1.0)) / np.log(1000.0)
  grey = (255 * (1 - np.clip(share, 0, 1))).astype(np.uint8)
  return np.repeat(grey[..., None], 3, axis=-1)


def _join(pictures: list[np.ndarray], axis: int) -> np.ndarray:
  """Joins pictures with white gaps."""
  shape = list(pictures[0].shape)
  shape[axis] = _GAP
  gap = np.full(shape, 255, np.uint8)
  parts = [pictures[0]]
  for picture in pictures[1:]:
    parts += [gap, picture]
  return np.concatenate(parts, axis=axis)


def save(sheet: np.ndarray, path: str) -> None:
  """Writes the page to an image file; its suffix decides the format."""
  Image.fromarray(sheet).save(path)
