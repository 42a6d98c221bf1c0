import numpy as np
import pytest

from segxal_jax.queries import regions

USABLE = np.ones((4, 6), bool)


def test_patches_are_numbered_row_by_row():
  np.testing.assert_array_equal(
    regions.patches((3, 5), 2),
    [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2], [3, 3, 4, 4, 5]],
  )


def test_ranking_and_prompt_points():
  mask = np.zeros((4, 6))
  mask[0, 5] = 0.8  # segment 2, mean 0.2
  mask[2:, 0:2] = 0.3  # segment 3, mean 0.3, a tie within
  segments = regions.patches((4, 6), 2)
  best = regions.rank(mask, segments, USABLE, 2)
  assert [region.id for region in best] == [3, 2]
  np.testing.assert_allclose([r.score for r in best], [0.3, 0.2])
  assert (best[0].row, best[0].column) == (2, 0)
  assert (best[1].row, best[1].column) == (0, 5)


def test_equal_scores_keep_the_order_of_numbers():
  segments = regions.patches((4, 6), 2)
  best = regions.rank(np.zeros((4, 6)), segments, USABLE, 3)
  assert [region.id for region in best] == [0, 1, 2]


def test_unusable_pixels_are_never_asked_about():
  usable = USABLE.copy()
  usable[:, :4] = False
  mask = np.ones((4, 6))
  segments = regions.patches((4, 6), 2)
  assert {r.id for r in regions.rank(mask, segments, usable, 9)} == {2, 5}
  assert regions.rank(mask, segments, ~np.ones((4, 6), bool), 9) == []


def test_doubtful_segments_are_above_mean_and_deviation():
  mask = np.zeros((4, 6))
  mask[2:, 4:] = 1.0
  segments = regions.patches((4, 6), 2)
  assert regions.doubtful(mask, segments, USABLE) == [5]
  assert regions.doubtful(np.zeros((4, 6)), segments, USABLE) == []


def test_superpixels_follow_colours():
  image = np.zeros((32, 64, 3), np.uint8)
  image[:, 30:] = 200
  options = regions.RegionOptions(num_segments=20)
  segments = regions.segment(image, options)
  assert segments.min() == 0
  assert set(np.unique(segments)) == set(range(segments.max() + 1))
  left, right = set(segments[:, :30].flat), set(segments[:, 30:].flat)
  assert not left & right


def test_superpixels_of_a_blank_image():
  segments = regions.segment(
    np.zeros((32, 32, 3), np.uint8), regions.RegionOptions(num_segments=8)
  )
  assert segments.min() == 0


def test_unknown_kind():
  with pytest.raises(ValueError):
    regions.segment(
      np.zeros((8, 8, 3), np.uint8), regions.RegionOptions(kind='blobs')
    )
