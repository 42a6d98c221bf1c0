"""What an exported file says of itself, as JSON; read, checked and written."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any

from common_lib import class_table_file, json_values
from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor import statistics

FIX = 'write it again with --mode=export'
SCHEMA = 1
# Of the card; 255 classes with groups have 40 kB, and statistics of 10,000
# images 1 MB.
MOST_BYTES = 1 << 24
_MOST_SIZES = 32
_MOST_WEIGHTS = 10_000
_LARGEST_SIDE = 1 << 15
_MOST_PIXELS = 1 << 26
_MOST_VALUES = 1 << 31
# What weights may be, as NumPy names it.
TYPES = ('float32', 'float16', 'int32', 'uint32', 'int8', 'uint8', 'bool')
_FIELDS = (
  'schema',
  'classes',
  'threshold',
  'statement',
  'detector',
  'run',
  'versions',
  'sizes',
  'weights',
  'parts',
  'reference',
)


@dataclasses.dataclass(frozen=True)
class Part:
  """A stretch of bytes that a file holds.

  Attributes:
    size: bytes.
    sha256: of them, 64 hexadecimal digits.
  """

  size: int
  sha256: str


def part_of(content: bytes) -> Part:
  """The part that bytes are."""
  return Part(len(content), hashlib.sha256(content).hexdigest())


@dataclasses.dataclass(frozen=True)
class Card:
  """What a file says of itself.

  Attributes:
    classes: of the labels.
    threshold: above which a pixel is flagged; None without a calibration.
    statement: what is guaranteed for pixels that pass; '' for nothing.
    detector: whose P(wrong) it is.
    run: the name of the run's folder.
    versions: of the packages that wrote the file, by name.
    sizes: (h, w) that images may have, the run's own first.
    weights: type and shape of each array of the weights, in their order.
    parts: what the file holds beside the card, by name.
    reference: statistics of the calibration images; None without any.
  """

  classes: ClassTable
  threshold: float | None
  statement: str
  detector: str
  run: str
  versions: Mapping[str, str]
  sizes: tuple[tuple[int, int], ...]
  weights: tuple[tuple[str, tuple[int, ...]], ...]
  parts: Mapping[str, Part]
  reference: Mapping[str, tuple[float, ...]] | None


def to_json(card: Card) -> bytes:
  """A card's text."""
  value = dataclasses.asdict(card) | {
    'schema': SCHEMA,
    'classes': json.loads(class_table_file.to_json(card.classes)),
  }
  return json.dumps(value, allow_nan=False).encode()


def parsed(content: bytes, path: object) -> Card:
  """The card in a file.

  Args:
    content: its text.
    path: of the file, for the message.

  Raises:
    UserError: it is none, or of a newer version.
  """
  try:
    value = json.loads(content)
    schema = value.get('schema') if isinstance(value, dict) else None
    if isinstance(schema, int) and schema > SCHEMA:
      raise UserError(
        f'{path} is of a newer version of this program (schema '
        f'{quoted(schema, 20)}): install that one.'
      )
    json_values.fields(value, 'its card', _FIELDS)
    return _card(value, path)
  # Nesting too deep; BadValue and all that json raises are ValueErrors.
  except (RecursionError, ValueError) as error:
    problem = quoted(error, 160)
  raise UserError(f'{path} is no exported monitor ({problem}): {FIX}.')


def _card(value: dict[str, Any], path: object) -> Card:
  threshold = value['threshold']
  if threshold is not None:
    threshold = float(json_values.number(threshold, 'threshold', 0, 1))
  sizes = tuple(
    _size(one) for one in json_values.entries(value['sizes'], 'sizes')
  )
  if not 1 <= len(sizes) <= _MOST_SIZES or len(set(sizes)) < len(sizes):
    raise json_values.BadValue('sizes are none, too many or twice the same')
  arrays = json_values.entries(value['weights'], 'weights', _MOST_WEIGHTS)
  return Card(
    classes=class_table_file.parsed(value['classes'], path),
    threshold=threshold,
    statement=_statement(value['statement']),
    detector=json_values.text(value['detector'], 'detector'),
    run=json_values.text(value['run'], 'run'),
    versions={
      json_values.text(name, 'a version', 40): json_values.text(
        version, 'a version', 40
      )
      for name, version in _pairs(value['versions'], 'versions')
    },
    sizes=sizes,
    weights=tuple(_array(one) for one in arrays),
    parts={
      json_values.text(name, 'a part', 80): _part(one)
      for name, one in _pairs(value['parts'], 'parts')
    },
    reference=(
      None
      if value['reference'] is None
      else statistics.parsed(value['reference'])
    ),
  )


def _statement(value: Any) -> str:
  if value == '':
    return ''
  return quoted(json_values.text(value, 'statement'), 1000)


def _pairs(value: Any, what: str) -> list[tuple[str, Any]]:
  if not isinstance(value, dict) or len(value) > 2 * _MOST_SIZES:
    raise json_values.BadValue(f'{what} is no short object')
  return list(value.items())


def _part(value: Any) -> Part:
  json_values.fields(value, 'a part', ('size', 'sha256'))
  return Part(
    json_values.whole_number(value['size'], 'size', 0),
    json_values.text(value['sha256'], 'sha256', 64),
  )


def _size(value: Any) -> tuple[int, int]:
  sides = json_values.entries(value, 'a size', 2)
  if len(sides) != 2:
    raise json_values.BadValue('a size is no [height, width]')
  height, width = (
    json_values.whole_number(side, 'a size', 1, _LARGEST_SIDE) for side in sides
  )
  if height * width > _MOST_PIXELS:
    raise json_values.BadValue('a size is too large')
  return height, width


def _array(value: Any) -> tuple[str, tuple[int, ...]]:
  pair = json_values.entries(value, 'weights', 2)
  if len(pair) != 2 or pair[0] not in TYPES:
    raise json_values.BadValue('weights are of an unknown type')
  sides = tuple(
    json_values.whole_number(side, 'a shape', 0, _MOST_VALUES)
    for side in json_values.entries(pair[1], 'a shape', 8)
  )
  if math.prod(sides) > _MOST_VALUES:
    raise json_values.BadValue('weights are too many')
  return pair[0], sides
