"""Label Studio's run-length code of brush masks, exact in both directions.

The code is that of thi.ng/rle-pack over RGBA bytes, pixel after pixel: a head
(number of bytes in 32 bits, word size - 1 in 5, four run sizes - 1 in 4 each)
and tokens. A token is a flag, the number of a run size in 2 bits, the run's
length - 1 in so many bits, and its byte if the flag is 1 (a repeated byte) or
all of its bytes if it is 0. The last byte is filled with zeros.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, UInt8

_CHANNELS = 4
_WORD_BITS = 8
_RUN_BITS = (3, 4, 8, 16)
_HEAD_WIDTHS = (32, 5, 4, 4, 4, 4)
_HEAD_BITS = sum(_HEAD_WIDTHS)
_LONGEST = 1 << _RUN_BITS[-1]
_WINDOW_BITS = 64
# Lets a window be read at the very end.
_GUARD = bytes(_WINDOW_BITS // 8)


class BadRle(ValueError):
  """The code is damaged, or of an image of another size."""


def encode(mask: Bool[np.ndarray, 'h w']) -> list[int]:
  """Codes a mask: its pixels are opaque (255), the others transparent (0).

  The result equals that of Label Studio's own SDK, in time that grows with
  the number of runs alone.

  Args:
    mask: at least one pixel.

  Returns:
    Bytes, 0..255, as the JSON of a brush region holds them.
  """
  flat = mask.ravel()
  starts = np.flatnonzero(np.append(True, flat[1:] != flat[:-1]))
  lengths = _CHANNELS * np.diff(np.append(starts, flat.size))
  bytes_ = np.where(flat[starts], 255, 0)
  # A run that is too long for a token becomes several.
  pieces = -(-lengths // _LONGEST)
  last = np.cumsum(pieces) - 1
  runs = np.full(int(pieces.sum()), _LONGEST)
  runs[last] = lengths - (pieces - 1) * _LONGEST
  bytes_ = np.repeat(bytes_, pieces)
  choice = np.searchsorted([1 << bits for bits in _RUN_BITS[:-1]], runs)
  run_bits = np.array(_RUN_BITS)[choice]
  tokens = ((4 + choice) << run_bits | runs - 1) << _WORD_BITS | bytes_
  head = (flat.size * _CHANNELS, _WORD_BITS - 1, *(b - 1 for b in _RUN_BITS))
  fields = np.concatenate([head, tokens])
  widths = np.concatenate([_HEAD_WIDTHS, 3 + run_bits + _WORD_BITS])
  return np.packbits(_bits(fields, widths)).tolist()


def _bits(fields: np.ndarray, widths: np.ndarray) -> np.ndarray:
  """The lowest `widths` bits of each field, highest first, and the filling."""
  positions = np.arange(max(_HEAD_WIDTHS) - 1, -1, -1)
  all_bits = (fields[:, None] >> positions & 1).astype(np.uint8)
  packed = all_bits[positions < widths[:, None]]
  # The SDK fills with 1 to 8 bits, never none.
  return np.append(packed, np.zeros(8 - packed.size % 8, np.uint8))


def decode(rle: Any, height: int, width: int) -> UInt8[np.ndarray, 'h w']:
  """The opacity of each pixel.

  What comes from a server is not trusted: time and memory are bounded by the
  size of the image that is expected, whatever the code claims.

  Args:
    rle: bytes, as a brush region's JSON holds them.
    height: of the image.
    width: of the image.

  Returns:
    0..255; masks of `encode` are 0 or 255, strokes have soft edges.

  Raises:
    BadRle: anything but the code of an image of this size.
  """
  count = height * width * _CHANNELS
  data = _as_bytes(rle, 2 * count + _HEAD_BITS)
  head = _window(data, 0, _HEAD_BITS)
  fields = []
  for bits in reversed(_HEAD_WIDTHS):
    fields.insert(0, head & (1 << bits) - 1)
    head >>= bits
  if fields[0] != count:
    raise BadRle(
      f'its mask has {fields[0]} values, an image of {height}x{width} has '
      f'{count}'
    )
  if fields[1] != _WORD_BITS - 1:
    raise BadRle(f'its words have {fields[1] + 1} bits instead of 8')
  run_bits = [field + 1 for field in fields[2:]]
  return _runs(data, run_bits, count).reshape(height, width, _CHANNELS)[..., 3]


def _as_bytes(rle: Any, limit: int) -> bytes:
  if not isinstance(rle, list):
    raise BadRle('its code is not a list of bytes')
  # A byte of a mask takes 14 bits at most, so this is not a mask's code.
  if len(rle) > limit:
    raise BadRle(f'its code has {len(rle)} bytes, more than the image could')
  try:
    data = bytes(rle)
  except (TypeError, ValueError):
    raise BadRle('its code is not a list of bytes') from None
  if 8 * len(data) < _HEAD_BITS:
    raise BadRle('its code is cut off')
  return data


def _window(data: bytes, position: int, bits: int) -> int:
  """`bits` bits from a position on; at most 57, data beyond the end is 0."""
  first = position >> 3
  chunk = (data[first : first + 8] + _GUARD)[:8]
  left = _WINDOW_BITS - (position & 7) - bits
  return int.from_bytes(chunk, 'big') >> left & (1 << bits) - 1


def _runs(data: bytes, run_bits: list[int], count: int) -> np.ndarray:
  """Unpacks the tokens into `count` bytes."""
  out = np.empty(count, np.uint8)
  position, done, end = _HEAD_BITS, 0, 8 * len(data)
  while done < count:
    start = _window(data, position, 3)
    size = run_bits[start & 3]
    length = _window(data, position + 3, size) + 1
    position += 3 + size
    repeated = start >> 2
    after = position + _WORD_BITS * (1 if repeated else length)
    if after > end:
      raise BadRle('its code is cut off')
    if done + length > count:
      raise BadRle('its runs are longer than the image')
    if repeated:
      out[done : done + length] = _window(data, position, _WORD_BITS)
    else:
      out[done : done + length] = _literal(data, position, length)
    position, done = after, done + length
  return out


def _literal(data: bytes, position: int, length: int) -> np.ndarray:
  """`length` bytes from a position that may lie within a byte."""
  first, shift = position >> 3, position & 7
  chunk = data[first : first + length + 1] + b'\0'
  raw = np.frombuffer(chunk, np.uint8)[: length + 1].astype(np.uint16)
  return (raw[:-1] << shift | raw[1:] >> 8 - shift) & 255
