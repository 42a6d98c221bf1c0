"""Brush masks: exact in both directions, and safe against anything."""

import numpy as np
import pytest

from segxal_jax.oracles.label_studio import rle
from segxal_jax.oracles.label_studio.rle import BadRle


def _bits(data):
  return ''.join(f'{byte:08b}' for byte in data)


def _plain_decode(data):
  """The format word by word, from its description alone."""
  text, position = _bits(data), 0

  def take(count):
    nonlocal position
    position += count
    return int(text[position - count : position], 2)

  count, word = take(32), take(5) + 1
  sizes = [take(4) + 1 for _ in range(4)]
  out = []
  while len(out) < count:
    repeated = take(1)
    length = take(sizes[take(2)]) + 1
    if repeated:
      out += [take(word)] * length
    else:
      out += [take(word) for _ in range(length)]
  assert len(text) - position <= 8 and '1' not in text[position:]
  return np.array(out, np.uint8)


def _masks():
  rng = np.random.default_rng(0)
  for _ in range(30):
    height, width = rng.integers(1, 24, 2)
    yield rng.random((height, width)) < rng.random()
  yield np.zeros((1, 1), bool)
  yield np.ones((7, 5), bool)
  # Runs at and beyond the longest that a token holds.
  for width in (16384, 16385, 32769):
    yield np.ones((1, width), bool)


def test_masks_survive_bit_for_bit():
  for mask in _masks():
    data = rle.encode(mask)
    opacity = rle.decode(data, *mask.shape)
    np.testing.assert_array_equal(opacity, np.where(mask, 255, 0))
    if mask.size < 600:
      plain = _plain_decode(data).reshape(*mask.shape, 4)
      np.testing.assert_array_equal(plain, opacity[..., None].repeat(4, -1))


def test_a_known_code():
  # 1 x 2 pixels, the right one opaque: two runs of four bytes.
  bits = (
    f'{8:032b}' + f'{7:05b}' + ''.join(f'{b - 1:04b}' for b in (3, 4, 8, 16))
  )
  bits += '1' + '00' + '011' + '00000000' + '1' + '00' + '011' + '11111111'
  bits += '0' * (8 - len(bits) % 8)
  data = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
  assert rle.encode(np.array([[False, True]])) == data


def _browser_code(words):
  """As browsers write it: bytes that do not repeat stand as they are."""
  bits = f'{len(words):032b}' + f'{7:05b}' + '0010' + '0011' + '0111' + '1111'
  for start in range(0, len(words), 16):
    block = words[start : start + 16]
    bits += '0' + '01' + f'{len(block) - 1:04b}'
    bits += ''.join(f'{word:08b}' for word in block)
  bits += '0' * (-len(bits) % 8)
  return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def test_soft_edges_that_stand_as_they_are():
  words = np.random.default_rng(1).integers(0, 256, 5 * 7 * 4)
  opacity = rle.decode(_browser_code(words.tolist()), 5, 7)
  np.testing.assert_array_equal(opacity, words.reshape(5, 7, 4)[..., 3])


def _changed(data, position, value):
  return [*data[:position], value, *data[position + 1 :]]


GOOD = rle.encode(np.arange(48).reshape(6, 8) % 3 == 0)


@pytest.mark.parametrize(
  ('data', 'words'),
  [
    ('abc', 'not a list'),
    (None, 'not a list'),
    ([1, 2, 3], 'cut off'),
    ([], 'cut off'),
    ([0.5] * 20, 'not a list of bytes'),
    (['0'] * 20, 'not a list of bytes'),
    ([256] * 20, 'not a list of bytes'),
    ([-1] * 20, 'not a list of bytes'),
    ([10**40] * 20, 'not a list of bytes'),
    (GOOD[:-3], 'cut off'),
    (_changed(GOOD, 0, 255), '4278190272 values'),
    (_changed(GOOD, 3, 191), '191 values, an image of 6x8 has 192'),
    (_changed(GOOD, 4, GOOD[4] ^ 0x10), 'bits instead of 8'),
    (GOOD + [0] * 1000, 'more than the image could'),
  ],
)
def test_damage_is_refused(data, words):
  with pytest.raises(BadRle, match=words):
    rle.decode(data, 6, 8)


def test_runs_beyond_the_image_are_refused():
  data = rle.encode(np.ones((6, 8), bool))
  longer = rle.encode(np.ones((6, 9), bool))
  with pytest.raises(BadRle, match='longer than the image'):
    rle.decode(data[:4] + longer[4:], 6, 8)


def test_random_bytes_never_do_worse_than_be_refused():
  rng = np.random.default_rng(2)
  # Short runs, so that some of the codes happen to be whole.
  head = f'{192:032b}' + f'{7:05b}' + '0001' + '0010' * 3
  refused = 0
  for _ in range(300):
    tail = ''.join(map(str, rng.integers(0, 2, 8 * rng.integers(0, 400))))
    bits = head + tail + '0' * (-len(head + tail) % 8)
    data = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    try:
      assert rle.decode(data, 6, 8).shape == (6, 8)
    except BadRle:
      refused += 1
  assert 0 < refused < 300
