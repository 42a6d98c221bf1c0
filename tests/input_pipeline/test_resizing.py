import numpy as np
import pytest
from PIL import Image

from input_pipeline import resizing


@pytest.mark.parametrize(
  ('size', 'target', 'box'),
  [
    ((360, 480), (256, 512), (0, 85, 256, 426)),  # 480 * 256 / 360 = 341.3
    ((1080, 1920), (256, 512), (0, 28, 256, 483)),  # 455.1
    ((1024, 2048), (256, 512), (0, 0, 256, 512)),
    ((100, 400), (256, 512), (64, 0, 192, 512)),
    ((1, 1000), (4, 4), (1, 0, 2, 4)),
    ((24, 32), (24, 64), (0, 16, 24, 48)),
  ],
)
def test_content_box_by_hand(size, target, box):
  assert resizing.content_box(size, target, 'letterbox') == box
  assert resizing.content_box(size, target, 'squeeze') == (0, 0, *target)


def test_boxes_of_random_sizes_keep_the_shape():
  rng = np.random.default_rng(0)
  for _ in range(500):
    size = tuple(rng.integers(1, 300, 2).tolist())
    target = tuple(rng.integers(1, 300, 2).tolist())
    top, left, bottom, right = resizing.content_box(size, target, 'letterbox')
    assert 0 <= top < bottom <= target[0] and 0 <= left < right <= target[1]
    # One side is filled, the scene is in the middle, and no side is off the
    # scale by more than what rounding does.
    assert bottom - top == target[0] or right - left == target[1]
    assert abs(top - (target[0] - bottom)) <= 1
    assert abs(left - (target[1] - right)) <= 1
    scale = min(target[0] / size[0], target[1] / size[1])
    assert abs(bottom - top - size[0] * scale) <= 1
    assert abs(right - left - size[1] * scale) <= 1


def test_squeezing_is_pillows_resize():
  pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
  image = Image.fromarray(pixels)
  np.testing.assert_array_equal(
    resizing.resize_image(image, (8, 16), 'squeeze'),
    image.resize((16, 8), Image.Resampling.BICUBIC),
  )


def test_letterboxing_is_pillows_resize_between_bars():
  pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
  image = Image.fromarray(pixels)
  found = resizing.resize_image(image, (10, 25), 'letterbox')
  np.testing.assert_array_equal(
    found[:, 5:20], image.resize((15, 10), Image.Resampling.BICUBIC)
  )
  assert (np.delete(found, slice(5, 20), axis=1) == resizing.FILL).all()


def test_maps_keep_their_type_and_their_outside():
  values = Image.fromarray(np.full((2, 2), 40_000, np.uint16))
  found = resizing.resize_map(values, (2, 4), 'letterbox', 7)
  assert found.dtype == np.uint16
  assert found.tolist() == [[7, 40_000, 40_000, 7]] * 2
