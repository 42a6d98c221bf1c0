"""Pixels that came to the host, counted and picked by compiled loops.

They come in batches of any size; they go through in pieces of few different
sizes, since each size is compiled once, several at a time.
"""

import concurrent.futures
import functools
import os
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, UInt16, UInt32

from fsnet_jax.metrics.ranking.binned import (
  BinCounts,
  add_pixels,
  no_pixels,
  without_spares,
)
from fsnet_jax.metrics.ranking.pixels import NOT_COUNTED, PixelStore

# Batches of at least so many pixels are pieces, smaller ones are put together.
_PIECE = 1 << 19

# On CPU a piece is counted slice by slice: what is computed on the way stays
# in the cache. With tables of its own each slice would pay for clearing them.
_SLICE = 1 << 13

# Each has a table of its own to count in.
_MOST_THREADS = 4


def in_pieces(pixels: PixelStore) -> PixelStore:
  """The same pixels, and some that do not count, in chunks of few sizes."""
  pieces = PixelStore(pixels.num_groups)
  small = PixelStore(pixels.num_groups)
  for keys, codes in zip(pixels.keys, pixels.codes):
    if len(keys) >= _PIECE:
      pieces = pieces.append(keys, codes)
      continue
    small = small.append(keys, codes)
    if len(small) >= _PIECE:
      pieces = pieces.append(*_padded(small))
      small = PixelStore(pixels.num_groups)
  return pieces.append(*_padded(small)) if len(small) else pieces


def count(pieces: PixelStore) -> list[BinCounts]:
  """Counts pixels, fewer than 2^31.

  Args:
    pieces: from `in_pieces`.

  Returns:
    Counts of parts of them.
  """
  each = list(zip(pieces.keys, pieces.codes))
  threads = min(len(each), _threads())
  shares = [each[start::threads] for start in range(threads)]
  return _at_once(lambda share: _counted(share, pieces.num_groups), shares)


def pick(
  pieces: PixelStore,
  ranges: UInt32[np.ndarray, 'r 2'],
  groups: Bool[np.ndarray, ' g'],
) -> PixelStore:
  """Picks the pixels that are in one of some ranges or groups.

  Args:
    pieces: from `in_pieces`.
    ranges: lowest and highest key of each range.
    groups: which groups.

  Returns:
    Those pixels, without any that do not count.
  """
  by_code = np.append(np.repeat(groups, 2), False)

  def pick_one(keys: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, ...]:
    found = np.asarray(_wanted(keys, codes, ranges, by_code))
    # Much faster than indexing by a mask.
    places = np.flatnonzero(found)
    return keys[places], codes[places]

  picked = PixelStore(pieces.num_groups)
  for part in _at_once(pick_one, pieces.keys, pieces.codes):
    picked = picked.append(*part)
  return picked


def _at_once(function: Callable, *arguments: Sequence) -> list:
  """`function` of each element, in threads."""
  with concurrent.futures.ThreadPoolExecutor(_threads()) as pool:
    return list(pool.map(function, *arguments))


def _threads() -> int:
  return min(os.cpu_count() or 1, _MOST_THREADS)


def _padded(pixels: PixelStore) -> tuple[np.ndarray, np.ndarray]:
  """Keys and codes in one array each, its length a power of two."""
  keys, codes = pixels.arrays()
  padding = (1 << max(len(keys) - 1, 4095).bit_length()) - len(keys)
  return (
    np.pad(keys, (0, padding)),
    np.pad(codes, (0, padding), constant_values=NOT_COUNTED),
  )


def _counted(
  pieces: Sequence[tuple[np.ndarray, np.ndarray]], num_groups: int
) -> BinCounts:
  """Counts of some pieces, on the host."""
  size = _SLICE if jax.default_backend() == 'cpu' else None
  counts = _jitted_no_pixels(num_groups)
  for keys, codes in pieces:
    counts = _add_piece(counts, keys, codes, size)
  return without_spares(jax.device_get(counts))


_jitted_no_pixels = jax.jit(no_pixels, static_argnums=0)


@functools.partial(jax.jit, static_argnums=3, donate_argnums=0)
def _add_piece(
  counts: BinCounts,
  keys: UInt32[Array, ' q'],
  codes: UInt16[Array, ' q'],
  size: int | None,
) -> BinCounts:
  """Counts a piece, in slices of `size` pixels if that is given."""
  slices = len(keys) // size if size else 0
  whole = slices * (size or 0)

  def step(number, so_far):
    # No scan: it would copy both arrays to begin with.
    start = number * size
    return add_pixels(
      so_far,
      jax.lax.dynamic_slice(keys, [start], [size]),
      jax.lax.dynamic_slice(codes, [start], [size]),
    )

  if slices:
    counts = jax.lax.fori_loop(0, slices, step, counts)
  if whole < len(keys):
    counts = add_pixels(counts, keys[whole:], codes[whole:])
  return counts


@jax.jit
def _wanted(
  keys: UInt32[Array, ' q'],
  codes: UInt16[Array, ' q'],
  ranges: UInt32[Array, 'r 2'],
  groups: Bool[Array, ' c'],
) -> Bool[Array, ' q']:
  """Which pixels count and are in one of the ranges or groups.

  Args:
    keys: score keys.
    codes: codes of the pixels.
    ranges: lowest and highest key of each.
    groups: by code; the last entry is for pixels that do not count.
  """
  last = len(groups) - 1
  low, high = ranges[:, :1], ranges[:, 1:]
  near = ((keys >= low) & (keys <= high)).any(axis=0)
  of_group = groups.at[jnp.minimum(codes, last)].get(mode='promise_in_bounds')
  return (near & (codes < last)) | of_group
