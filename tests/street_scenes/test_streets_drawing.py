"""Drawn scenes: reproducible, complete, and true to their geometry."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

from common_lib import class_table
from street_scenes import (
  DOMAINS,
  FARTHEST,
  SKY_DEPTH,
  SPLITS,
  Camera,
  draw,
  render,
  sample_camera,
  sample_scene,
  sample_weather,
)
from street_scenes.layout.styles import HOME
from street_scenes.random_choices import Dice
from tests.paths import ROOT
from tests.street_scenes.unprojection import unproject

SIZE = (64, 128)
COUNT = 40
ROAD, SKY = 0, 10


def digest(picture):
  arrays = (picture.image, picture.label, picture.depth)
  return hashlib.sha256(b''.join(a.tobytes() for a in arrays)).hexdigest()


@pytest.fixture(scope='module')
def pictures():
  """`COUNT` test scenes by day and in the other city."""
  return {
    domain: [draw(domain, 'test', i, SIZE) for i in range(COUNT)]
    for domain in ('day', 'other_city')
  }


def test_a_fresh_process_draws_the_same_bytes():
  wanted = [('day', 'train', 3), ('night', 'test', 1), ('rain', 'test', 1)]
  code = (
    'import hashlib\n'
    'from street_scenes import draw\n'
    f'for key in {wanted!r}:\n'
    f'  p = draw(*key, {SIZE})\n'
    '  parts = (p.image, p.label, p.depth)\n'
    '  data = b"".join(a.tobytes() for a in parts)\n'
    '  print(hashlib.sha256(data).hexdigest())\n'
  )
  # Another hash seed, and drawn after other scenes here.
  result = subprocess.run(
    [sys.executable, '-c', code],
    cwd=ROOT,
    env={'PYTHONHASHSEED': '123', 'PATH': ''},
    capture_output=True,
    text=True,
    check=True,
  )
  here = [digest(draw(*key, SIZE)) for key in wanted]
  assert result.stdout.split() == here


def test_global_random_state_is_neither_used_nor_changed():
  np.random.seed(1)  # noqa: NPY002
  before = np.random.get_state()[1].copy()  # noqa: NPY002
  first = digest(draw('rain', 'train', 0, SIZE))
  np.testing.assert_array_equal(
    np.random.get_state()[1],  # noqa: NPY002
    before,
  )
  np.random.seed(2)  # noqa: NPY002
  assert digest(draw('rain', 'train', 0, SIZE)) == first


@pytest.mark.slow
def test_every_argument_changes_the_scene():
  seen = {
    digest(draw(domain, split, index, SIZE, seed))
    for domain in DOMAINS
    for split in SPLITS
    for index in range(2)
    for seed in range(2)
  }
  assert len(seen) == len(DOMAINS) * len(SPLITS) * 2 * 2


def test_dice_depend_on_their_whole_key():
  firsts = [Dice(*key).random() for key in ((1, 2), (2, 1), (1,), (1, 2, 0))]
  assert len(set(firsts)) == 4
  assert Dice(1, 2).random() == firsts[0]


@pytest.mark.parametrize('domain', ['fog', 'night', 'rain'])
def test_weather_changes_the_image_alone(domain):
  day, other = (draw(name, 'test', 5, SIZE) for name in ('day', domain))
  np.testing.assert_array_equal(day.label, other.label)
  np.testing.assert_array_equal(day.depth, other.depth)
  difference = np.abs(day.image.astype(int) - other.image)
  assert difference.mean() > 10


@pytest.mark.slow
@pytest.mark.parametrize('domain', ['day', 'other_city'])
def test_all_classes_occur_often(pictures, domain):
  counts = np.array(
    [np.bincount(p.label.reshape(-1), minlength=256) for p in pictures[domain]]
  )
  illegal = np.ones(256, bool)
  illegal[:19] = illegal[class_table.VOID] = False
  assert counts[:, illegal].sum() == 0
  often = (counts[:, :19] >= 5).mean(axis=0)
  rare = [class_table.CITYSCAPES.names[i] for i in np.flatnonzero(often < 0.1)]
  assert not rare
  shares = counts[:, :19].sum(axis=0) / counts.sum()
  # A street: road, buildings and sky make up most of it, none all of it.
  assert 0.2 < shares[ROAD] < 0.5
  assert shares[[0, 1, 2, 8, 9, 10]].sum() > 0.5
  assert shares.max() < 0.5


@pytest.mark.parametrize('domain', ['day', 'other_city'])
def test_depth_is_sound(pictures, domain):
  for picture in pictures[domain]:
    depth, sky = picture.depth, picture.label == SKY
    assert depth.dtype == np.float32
    assert np.isfinite(depth).all()
    assert depth.min() > 0.3
    np.testing.assert_array_equal(depth[sky], SKY_DEPTH)
    assert depth[~sky].max() <= FARTHEST


def test_road_comes_nearer_towards_the_bottom(pictures):
  pairs = 0
  for picture in pictures['day']:
    road = picture.label == ROAD
    both = road[:-1] & road[1:]
    assert (picture.depth[:-1][both] > picture.depth[1:][both]).all()
    pairs += both.sum()
  assert pairs > 20_000


def test_ground_lies_on_one_plane():
  scene = sample_scene(HOME, 0, 2, 0, 1)
  camera, bonnet = sample_camera(HOME, scene, 0, 2, 0, 1)
  weather = sample_weather('day', 0, 2, 0, 1)
  picture = render(scene, camera, weather, SIZE, bonnet)
  ground = np.isin(picture.label, (0, 1))
  height = unproject(camera, picture.depth)[..., 1]
  assert ground.sum() > 1000
  near = ground & (picture.depth < 100)
  np.testing.assert_allclose(height[near], 0, atol=0.01)


@pytest.mark.parametrize('size', [(32, 32), (47, 95), (33, 200), (96, 50)])
@pytest.mark.parametrize('domain', DOMAINS)
def test_any_size(size, domain):
  picture = draw(domain, 'train', 2, size)
  assert picture.image.shape == (*size, 3)
  assert picture.image.dtype == np.uint8
  assert picture.label.shape == picture.depth.shape == size
  assert picture.label.dtype == np.uint8
  assert picture.image.std() > 5


def test_larger_pictures_show_the_same_scene():
  small, large = (
    draw('day', 'test', 4, size) for size in ((65, 129), (129, 257))
  )
  # Pixel centres of odd sizes coincide only in the middle; compare areas.
  for name in ('road', 'building', 'sky', 'car'):
    train_id = class_table.CITYSCAPES.names.index(name)
    shares = [(p.label == train_id).mean() for p in (small, large)]
    assert shares[0] == pytest.approx(shares[1], abs=0.02)


def test_one_scene_from_two_cameras_agrees():
  scene = sample_scene(HOME, 0, 2, 0, 7)
  weather = sample_weather('day', 0, 2, 0, 7)
  x, y, _ = sample_camera(HOME, scene, 0, 2, 0, 7)[0].position
  first = Camera((x, y, 0.0), pitch=0.03)
  second = Camera((x + 0.8, y + 0.5, 1.5), yaw=-0.15, pitch=0.06, roll=0.02)
  size = (128, 256)
  one, two = (render(scene, c, weather, size) for c in (first, second))
  pixel, depth = second.project(unproject(first, one.depth), size)
  column, row = np.rint(pixel).astype(int).transpose(2, 0, 1)
  inside = (column >= 0) & (column < size[1]) & (row >= 0) & (row < size[0])
  inside &= (depth > 1) & (one.label != SKY) & (one.depth < 60)
  column, row = column[inside], row[inside]
  # Seen by both: the surface there is at the depth expected of this one.
  seen = np.abs(two.depth[row, column] / depth[inside] - 1) < 0.02
  assert inside.mean() > 0.3
  assert seen.mean() > 0.75
  agree = two.label[row, column][seen] == one.label[inside][seen]
  assert agree.mean() > 0.97
