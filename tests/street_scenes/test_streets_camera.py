"""Projection against hand-computed numbers and against its inverse."""

import math

import numpy as np
import pytest

from street_scenes.geometry.camera import Camera
from tests.street_scenes.unprojection import unproject

SIZES = [(64, 128), (33, 47), (48, 200), (100, 40)]


def test_a_point_ahead_is_in_the_middle():
  camera = Camera(position=(1.0, 2.0, 3.0))
  pixel, depth = camera.project(np.array([[1.0, 2.0, 13.0]]), (64, 128))
  np.testing.assert_allclose(pixel, [[63.5, 31.5]], atol=1e-4)
  np.testing.assert_allclose(depth, [10.0], rtol=1e-6)


def test_right_and_up_by_hand():
  camera = Camera(position=(0.0, 1.0, 0.0), focal=1.0)
  points = np.array([[2.0, 1.0, 8.0], [0.0, 3.0, 8.0]])
  pixel, _ = camera.project(points, (64, 128))
  # f = 128: 2 m at 8 m is 32 pixels.
  np.testing.assert_allclose(pixel, [[95.5, 31.5], [63.5, -0.5]], atol=1e-4)


def test_yaw_turns_right_and_pitch_looks_down():
  right = Camera(position=(0.0, 0.0, 0.0), yaw=math.pi / 2)
  _, depth = right.project(np.array([[5.0, 0.0, 0.0]]), (64, 128))
  np.testing.assert_allclose(depth, [5.0], rtol=1e-5)
  down = Camera(position=(0.0, 0.0, 0.0), pitch=math.pi / 2)
  _, depth = down.project(np.array([[0.0, -7.0, 0.0]]), (64, 128))
  np.testing.assert_allclose(depth, [7.0], rtol=1e-5)


def test_roll_turns_the_picture_the_other_way():
  camera = Camera(position=(0.0, 0.0, 0.0), roll=math.pi / 2)
  pixel, _ = camera.project(np.array([[1.0, 0.0, 4.0]]), (64, 128))
  # What is on the right appears above the middle.
  np.testing.assert_allclose(pixel, [[63.5, -0.5]], atol=1e-4)


def test_rotation_is_orthonormal():
  camera = Camera((0.0, 1.0, 0.0), yaw=0.4, pitch=-0.2, roll=0.3)
  rotation = camera.rotation()
  np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-12)


@pytest.mark.parametrize('size', SIZES)
def test_unproject_inverts_project(size):
  camera = Camera((1.0, 1.4, -2.0), yaw=0.3, pitch=0.1, roll=-0.05, focal=0.8)
  rng = np.random.default_rng(0)
  depth = rng.uniform(0.5, 300, size).astype(np.float32)
  pixel, found = camera.project(unproject(camera, depth), size)
  rows, columns = np.mgrid[: size[0], : size[1]]
  np.testing.assert_allclose(found, depth, rtol=1e-4)
  np.testing.assert_allclose(pixel[..., 0], columns, atol=2e-2)
  np.testing.assert_allclose(pixel[..., 1], rows, atol=2e-2)


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('supersample', [1, 2, 3])
def test_every_nth_ray_is_a_pixel_center(size, supersample):
  camera = Camera((0.0, 1.0, 0.0))
  fine = camera.axes(size, supersample)
  coarse = camera.axes(size)
  for one, other in zip(fine, coarse, strict=True):
    assert len(one) == supersample * len(other)
    np.testing.assert_array_equal(one[::supersample], other)


def test_other_shapes_show_parts_of_the_wide_picture():
  camera = Camera((0.0, 1.0, 0.0), focal=0.9)
  assert camera.focal_px((64, 128)) == pytest.approx(0.9 * 128)
  assert camera.focal_px((64, 64)) == pytest.approx(0.9 * 128)
  assert camera.focal_px((64, 200)) == pytest.approx(0.9 * 200)
