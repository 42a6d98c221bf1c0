"""Regions of an image against loops over its pixels."""

import numpy as np
import pytest
import scipy.ndimage

from common_lib.class_table import CITYSCAPES, VOID
from fsnet_jax.metrics.regions import (
  NUM_CODES,
  REGIONS,
  SMALL,
  THINGS,
  region_codes,
)

ROAD, CAR, POLE, SKY = map(
  CITYSCAPES.names.index, ('road', 'car', 'pole', 'sky')
)


def of(label):
  """The regions as masks, by name."""
  codes = region_codes(label)
  assert codes.dtype == np.uint8 and codes.max(initial=0) < NUM_CODES
  return {name: np.isin(codes, kinds) for name, kinds in REGIONS.items()}


def near_change(label):
  """Pixel by pixel: at most two steps lead across a change of label."""
  height, width = label.shape

  def around(y, x):
    for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
      if 0 <= v < height and 0 <= u < width:
        yield v, u

  def at_change(y, x):
    return label[y, x] != VOID and any(
      label[place] not in (VOID, label[y, x]) for place in around(y, x)
    )

  found = np.zeros(label.shape, bool)
  for y, x in np.ndindex(label.shape):
    found[y, x] = any(at_change(*at) for at in ((y, x), *around(y, x)))
  return found


def small_things(label):
  found = np.zeros(label.shape, bool)
  for name in THINGS:
    numbers, count = scipy.ndimage.label(
      label == CITYSCAPES.names.index(name), np.ones((3, 3))
    )
    for number in range(1, count + 1):
      mask = numbers == number
      if mask.sum() < SMALL * label.size:
        found |= mask
  return found


@pytest.mark.parametrize('seed', range(4))
@pytest.mark.parametrize('size', [(1, 1), (1, 9), (7, 1), (13, 17), (60, 90)])
def test_random_images_against_loops(size, seed):
  rng = np.random.default_rng(seed)
  classes = rng.choice([*range(19), VOID], 4 + seed, replace=False)
  blocks = rng.choice(classes, (size[0] // 3 + 1, size[1] // 2 + 1))
  label = np.kron(blocks, np.ones((3, 2), int))[: size[0], : size[1]]
  label = np.where(rng.random(size) < 0.03, POLE, label).astype(np.uint8)
  found = of(label)
  assert np.array_equal(found['boundary'], near_change(label))
  assert np.array_equal(found['interior'], ~found['boundary'])
  assert np.array_equal(found['small_objects'], small_things(label))


def test_an_edge_is_four_pixels_wide():
  label = np.full((3, 12), ROAD, np.uint8)
  label[:, 6:] = SKY
  assert np.array_equal(
    np.flatnonzero(of(label)['boundary'].all(0)), [4, 5, 6, 7]
  )


@pytest.mark.parametrize('value', [VOID, ROAD, CAR])
def test_one_label_has_no_boundary(value):
  label = np.full((40, 50), value, np.uint8)
  assert not of(label)['boundary'].any()
  assert not of(label)['small_objects'].any()


def test_void_is_no_class():
  label = np.full((5, 20), ROAD, np.uint8)
  label[:, 7:9] = VOID
  label[:, 12] = VOID
  assert not of(label)['boundary'].any()
  # Not even where another class begins behind it.
  label[:, 13:] = SKY
  assert not of(label)['boundary'].any()


def test_small_objects_are_things_below_a_thousandth():
  label = np.full((50, 100), ROAD, np.uint8)  # 5 pixels are no longer small
  label[5, 10:14] = CAR
  label[20, 10:15] = CAR
  label[30, 10:12] = SKY  # no thing
  label[40, 10], label[41, 11] = POLE, POLE  # one, over the corner
  label[40, 50:54] = POLE
  label[41, 54] = POLE
  found = of(label)['small_objects']
  expected = np.zeros_like(found)
  expected[5, 10:14] = expected[40, 10] = expected[41, 11] = True
  assert np.array_equal(found, expected)
