"""Why an image is queried, as a picture and in words."""

import base64
import io
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw, ImageFont

from fsnet_jax.report import palette
from fsnet_jax.report.figures import canvas
from segxal_jax.queries import map_rendering
from segxal_jax.queries.types import Question

_WRITING_WIDTH_PX = 420
# Title of the map, and the word for its share of a point.
_REASONS = {
  'entropy': ('Why: undecided between classes (entropy)', 'entropy'),
  'proximity': (
    'Why: near, and what the network looks at (proximity)',
    'proximity',
  ),
  'failure': ('Why: the failure network expects errors (failure)', 'failure'),
}
_DIRECTIONS = 16


def data_url(picture: UInt8[np.ndarray, 'h w 3'], lossless: bool) -> str:
  """A picture that travels inside its task.

  So a task is whole or absent, and the browser needs no second server, no
  shared disk and no permission to see it.
  """
  content = io.BytesIO()
  if lossless:
    Image.fromarray(picture).save(content, 'png')
  else:
    Image.fromarray(picture).save(content, 'jpeg', quality=90, subsampling=0)
  kind = 'png' if lossless else 'jpeg'
  text = base64.b64encode(content.getvalue()).decode()
  return f'data:image/{kind};base64,{text}'


def explanation(question: Question) -> UInt8[np.ndarray, 'ph pw 3']:
  """The error mask with numbered points, and below it what it is made of."""
  largest = max(float(question.eem.max()), 1e-6)
  where = map_rendering.heat(question.image, question.eem / largest)
  panels = [('Where: error mask and points', _numbered(where, question))]
  for name, part in question.parts.items():
    strongest = max(float(part.max()), 1e-6)
    heat = map_rendering.heat(question.image, part / strongest)
    panels.append((_REASONS[name][0], heat))
  scale = max(1.0, where.shape[1] / _WRITING_WIDTH_PX)
  return canvas.grid(panels, 1, 'Look here first', scale)


def _numbered(
  tile: UInt8[np.ndarray, 'th tw 3'], question: Question
) -> UInt8[np.ndarray, 'th tw 3']:
  """Outlines the selected regions and numbers their prompt points.

  A number that would hide another one stands beside its point, tied to it.
  """
  height, width = question.prediction.shape
  size = (tile.shape[1], tile.shape[0])
  asked = Image.fromarray(_asked(question)).resize(
    size, Image.Resampling.NEAREST
  )
  drawn = tile.copy()
  drawn[_border(np.asarray(asked))] = 255
  picture = Image.fromarray(drawn)
  draw = ImageDraw.Draw(picture)
  radius = max(7.0, tile.shape[1] / 48)
  font = ImageFont.load_default(1.4 * radius)
  points = np.array(
    [
      ((r.column + 0.5) * size[0] / width, (r.row + 0.5) * size[1] / height)
      for r in question.regions
    ]
  ).reshape(-1, 2)
  positions = _apart(points, size, radius)
  for point, position in zip(points, positions, strict=True):
    draw.line((*point, *position), palette.WHITE, 2)
    box = (*(point - radius / 3), *(point + radius / 3))
    draw.ellipse(box, palette.PROMPT_ON_CLASSES, palette.BLACK, 1)
  for number, (x, y) in enumerate(positions, 1):
    box = (x - radius, y - radius, x + radius, y + radius)
    draw.ellipse(box, palette.PROMPT_ON_CLASSES, palette.BLACK, 1)
    draw.text((x, y), str(number), palette.BLACK, font, anchor='mm')
  return np.array(picture)


def _apart(
  points: Float[np.ndarray, 'n 2'], size: tuple[int, int], radius: float
) -> Float[np.ndarray, 'n 2']:
  """Positions for discs of a radius near points: none over another or cut off.

  In their order, each takes the nearest position that is free, or its own
  where none is.
  """
  least = np.full(2, radius)
  most = np.maximum(least, np.array(size) - radius - 1)
  angles = np.linspace(0, 2 * np.pi, _DIRECTIONS, endpoint=False)
  ways = np.stack([np.cos(angles), np.sin(angles)], -1)
  rings = [np.zeros((1, 2))] + [step * radius * ways for step in range(2, 8)]
  offsets = np.concatenate(rings)
  taken: list[np.ndarray] = []
  for point in points:
    positions = np.clip(point + offsets, least, most)
    free = [
      position
      for position in positions
      if all(np.hypot(*(position - other)) > 2 * radius for other in taken)
    ]
    taken.append(free[0] if free else positions[0])
  return np.array(taken).reshape(-1, 2)


def _asked(question: Question) -> UInt8[np.ndarray, 'h w']:
  """The number of the selected region of each pixel, from 1, or 0."""
  asked = np.zeros(question.segments.shape, np.uint8)
  for number, region in enumerate(question.regions, 1):
    asked[question.segments == region.id] = min(number, 255)
  return asked


def _border(numbers: UInt8[np.ndarray, 'h w']) -> Bool[np.ndarray, 'h w']:
  border = np.zeros(numbers.shape, bool)
  border[:, 1:] |= numbers[:, 1:] != numbers[:, :-1]
  border[1:] |= numbers[1:] != numbers[:-1]
  return border


def reasons(question: Question) -> str:
  """A line for each point: what share of its error mask comes from where.

  Where the mask is not made of parts, how high it is.
  """
  lines = []
  if not question.parts:
    lines = [
      f'{number}: {region.score:.2f} of 1 in the map above'
      for number, region in enumerate(question.regions, 1)
    ]
    return '\n'.join(lines) or 'No region is selected.'
  for number, region in enumerate(question.regions, 1):
    inside = (question.segments == region.id) & question.usable
    amounts = {
      name: float(part[inside].sum()) for name, part in question.parts.items()
    }
    lines.append(f'{number}: {_reason(amounts)}')
  return '\n'.join(lines) or 'No region is selected.'


def _reason(amounts: Mapping[str, float]) -> str:
  total = sum(amounts.values())
  if not total > 0:
    return 'no doubt'
  ordered = sorted(amounts, key=lambda name: -amounts[name])
  return ', '.join(
    f'{_REASONS[name][1]} {100 * amounts[name] / total:.0f} %'
    for name in ordered
  )
