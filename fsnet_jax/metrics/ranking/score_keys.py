"""Failure scores as integers that sort like the scores.

Ranking needs only the order of scores. A float32 becomes a uint32 key of the
same order, so that equal scores are equal keys and every score, however
large, small or negative, is a whole number that sums, sorts and transfers
exactly. A coarser bin of the key indexes histograms.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int32, UInt32

# A unit is 1/128 octave of |score|, the top 15 bits of a float32, counted from
# 2^-127. Bins of one unit reach from 2^-24, the smallest softmax complement in
# float32, to 2^8, beyond the logits of networks; elsewhere eight units share a
# bin, which makes the table a third of what units alone would need.
_FINE_FROM = (127 - 24) << 7
_FINE_TO = (127 + 8) << 7
_INFINITE = 255 << 7

# Probabilities crowd below 1 (and their negatives above -1). There the units
# are of 1 - |score| instead, which float32 resolves 24 octaves deep.
_HALF_UNITS = 126 << 7
_ONE_UNITS = 127 << 7
_BELOW_ONE = 23 << 7

_HALF = (
  (_FINE_FROM >> 3)
  + (_FINE_TO - _FINE_FROM)
  + (_BELOW_ONE + 1 - 128)
  + ((_INFINITE - _FINE_TO) >> 3)
)

#: Number of bins that the finite float32 numbers fall into.
NUM_BINS = 2 * _HALF

_SIGN = np.uint32(1 << 31)


def score_keys(score: Float[Array, '*p']) -> UInt32[Array, '*p']:
  """Maps scores to integers of the same order.

  Works on the bits, so subnormal numbers keep their order on devices whose
  arithmetic flushes them to zero.

  Args:
    score: any float type; compared as float32.

  Returns:
    Keys with key(a) < key(b) exactly where a < b, and key(-0.0) = key(0.0).
    Keys of infinities and NaN are meaningless: see `finite_scores`.
  """
  bits = _bits(score)
  bits = jnp.where(bits == _SIGN, jnp.uint32(0), bits)
  return jnp.where(bits >= _SIGN, ~bits, bits | _SIGN)


def finite_scores(score: Float[Array, '*p']) -> Array:
  """True where a score is neither NaN nor infinite, bool [*p]."""
  exponent = jnp.uint32(0x7F800000)
  return (_bits(score) & exponent) != exponent


def key_bins(keys: UInt32[Array, '*p']) -> Int32[Array, '*p']:
  """Maps keys of finite scores to bins of the same order.

  Args:
    keys: from `score_keys`.

  Returns:
    int32 in 0..`NUM_BINS` - 1, never falling where keys rise. Each bin holds
    scores of one sign, except that zero shares the bin of the smallest
    positive numbers.
  """
  positive = keys >= _SIGN
  magnitude = jnp.where(positive, keys, ~keys) & ~_SIGN
  units = jnp.minimum((magnitude >> 16).astype(jnp.int32), _INFINITE - 1)
  steps = (
    (jnp.minimum(units, _FINE_FROM) >> 3)
    + jnp.clip(units - _FINE_FROM, 0, _FINE_TO - _FINE_FROM)
    + (jnp.maximum(units - _FINE_TO, 0) >> 3)
  )
  # 2^24 (1 - |score|), exact, where |score| is in [0.5, 1).
  rest = (1 << 23) - (magnitude & 0x7FFFFF).astype(jnp.int32)
  rest_units = (_bits(rest.astype(jnp.float32)) >> 16).astype(jnp.int32)
  below_one = _BELOW_ONE + _ONE_UNITS - rest_units
  steps += jnp.where(
    units < _HALF_UNITS,
    0,
    jnp.where(
      units < _ONE_UNITS, below_one - (units & 127), _BELOW_ONE + 1 - 128
    ),
  )
  return jnp.where(positive, _HALF + steps, _HALF - 1 - steps)


def _bits(score: Array) -> Array:
  return jax.lax.bitcast_convert_type(score.astype(jnp.float32), jnp.uint32)
