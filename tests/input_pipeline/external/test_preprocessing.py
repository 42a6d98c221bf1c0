"""Resizing and normalisation, by hand; against PyTorch: tests/parity."""

import numpy as np
import pytest

from input_pipeline.external.description import PLAIN, InputFormat
from input_pipeline.external.preprocessing import prepare
from input_pipeline.external.resizing import resize
from tests.input_pipeline.external.tables import noise


def _row(values, length, **options):
  arrays = np.float32(values)[None, :, None, None]
  return resize(arrays, (length, 1), **options)[0, :, 0, 0].tolist()


def test_pixels_are_areas():
  assert _row([0, 4], 4) == [0, 1, 3, 4]
  assert _row([0, 4, 8, 12], 2) == [2, 10]
  assert _row([0, 0, 9], 1) == [0]


def test_antialiasing_counts_what_a_pixel_covers():
  # Weights 1/8, 3/8, 3/8, 1/8 around each centre; outside does not count.
  assert _row([0, 0, 0, 8, 8, 8], 3, antialias=True) == pytest.approx(
    [0, 8 * 4 / 8, 8]
  )
  assert _row([7, 0], 1, antialias=True) == [3.5]
  assert _row([0, 4], 4, antialias=True) == [0, 1, 3, 4]


def test_a_constant_stays_what_it_is():
  for size in ((1, 1), (3, 7), (17, 5), (64, 64)):
    for antialias in (False, True):
      found = resize(np.full((2, 9, 10, 3), 5), size, antialias=antialias)
      assert found.shape == (2, *size, 3) and found.dtype == np.float32
      np.testing.assert_allclose(found, 5, rtol=1e-6)


def test_the_same_size_is_left_alone():
  arrays = np.ones((1, 2, 3, 1), np.float32)
  assert resize(arrays, (2, 3)) is arrays


def test_scale_then_mean_then_std_in_the_order_of_the_network():
  image = np.uint8([[[[10, 20, 30]]]])
  how = InputFormat('', 'BGR', 10.0, (1.0, 2.0, 3.0), (2.0, 4.0, 5.0), None)
  found = prepare(image, how, channels_first=False)
  np.testing.assert_allclose(found, [[[[1.0, 0.0, -0.4]]]], rtol=1e-6)
  assert found.dtype == np.float32
  found = prepare(image, how, channels_first=True)
  assert found.shape == (1, 3, 1, 1)
  np.testing.assert_allclose(found[0, :, 0, 0], [1.0, 0.0, -0.4], rtol=1e-6)


def test_a_mean_before_the_scale_can_be_written_too():
  # (x - mean) / std / 255, as ESPNet's authors have it.
  mean, std = np.array([72.4, 82.9, 73.2]), np.array([45.3, 46.2, 44.9])
  images = noise(1, 5, 6)
  how = InputFormat('', 'BGR', 1.0, tuple(mean), tuple(std * 255), None)
  wanted = (images[..., ::-1] - mean) / std / 255
  found = prepare(images, how, channels_first=False)
  np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-8)


def test_resizing_comes_before_the_normalisation():
  images = np.repeat(np.repeat(noise(2, 4, 6), 8, 1), 8, 2)
  how = InputFormat(
    '', 'BGR', 255.0, (0.1, 0.2, 0.3), (0.5, 1.0, 2.0), (16, 24)
  )
  found = prepare(images, how, channels_first=True)
  assert found.shape == (2, 3, 16, 24) and found.flags.c_contiguous
  whole = prepare(
    images, InputFormat('', *list(vars(how).values())[1:5]), channels_first=True
  )
  # Within a square of one colour, 4 pixels wide now.
  np.testing.assert_allclose(
    found[:, :, 1::4, 1::4], whole[:, :, 3::8, 3::8], rtol=1e-5, atol=1e-6
  )


def test_plain_is_the_image():
  images = noise(2, 3, 4)
  np.testing.assert_array_equal(
    prepare(images, PLAIN, channels_first=False), images
  )
