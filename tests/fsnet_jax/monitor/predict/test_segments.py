"""Components of flagged pixels, against counting by hand."""

import numpy as np
import pytest
from skimage import measure

from fsnet_jax.monitor.predict import segments


def test_components_touch_at_corners():
  flagged = np.array(
    [
      [1, 0, 0, 0, 1],
      [0, 1, 0, 0, 1],
      [0, 0, 0, 0, 1],
      [1, 0, 0, 0, 1],
    ],
    bool,
  )
  labels = np.array([[3, 0, 0, 0, 7]] * 2 + [[0, 0, 0, 0, 2]] * 2, np.uint8)
  labels[1, 1] = 3
  failure = np.where(flagged, 0.75, 0.25).astype(np.float32)
  failure[0, 4] = 0.95
  largest, found = segments.find(labels, failure, flagged, 0.1)
  assert [one.area for one in found] == [4, 2]
  assert largest == found[0]
  assert largest.box == (4, 0, 1, 4)
  assert largest.label == 2  # As often as 7: the lower index.
  assert largest.failure_mean == pytest.approx(0.8, abs=1e-6)
  assert found[1].box == (0, 0, 2, 2) and found[1].label == 3


def test_small_ones_are_no_rows_but_the_largest_is_known():
  flagged = np.zeros((10, 10), bool)
  flagged[2, 3] = True
  zeros = np.zeros((10, 10), np.uint8)
  failure = flagged.astype(np.float32)
  largest, found = segments.find(zeros, failure, flagged, 0.02)
  assert largest is not None and largest.box == (3, 2, 1, 1) and found == []
  largest, found = segments.find(zeros, failure, flagged, 0.0)
  assert found == [largest]


@pytest.mark.parametrize('value', [False, True])
def test_nothing_and_everything(value):
  flagged = np.full((3, 4), value)
  found = segments.find(
    np.ones((3, 4), np.uint8), np.ones((3, 4), np.float32), flagged, 0.5
  )
  if value:
    assert found[0] is not None and found[0].box == (0, 0, 4, 3)
    assert found[0].area == 12 and found[1] == [found[0]]
  else:
    assert found == (None, [])


def test_random_maps_against_scikit_image():
  rng = np.random.default_rng(0)
  for _ in range(20):
    flagged = rng.uniform(size=(30, 41)) < 0.3
    labels = rng.integers(0, 5, flagged.shape, np.uint8)
    failure = rng.uniform(size=flagged.shape).astype(np.float32)
    _, found = segments.find(labels, failure, flagged, 0.005)
    regions = measure.regionprops(
      measure.label(flagged, connectivity=2), intensity_image=failure
    )
    expected = [one for one in regions if one.area >= 7]
    assert sorted(one.area for one in found) == sorted(
      int(one.area) for one in expected
    )
    boxes = {one.box: one for one in found}
    for region in expected:
      top, left, bottom, right = region.bbox
      mine = boxes[left, top, right - left, bottom - top]
      assert mine.failure_mean == pytest.approx(region.intensity_mean, rel=1e-5)
      inside = labels[tuple(region.coords.T)]
      assert mine.label == np.bincount(inside).argmax()
