"""Corruptions: deterministic, stepwise worse, and of the image alone."""

import io
import pickle

import cv2
import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from input_pipeline import corruptions
from input_pipeline.class_groups import for_evaluation
from input_pipeline.datasets import dataset_of, idd_lite, open_source
from input_pipeline.datasets.base import DataRequest


def picture(height=64, width=96):
  """Smooth areas with an edge, as a street has."""
  rows, columns = np.mgrid[:height, :width]
  image = np.stack([90 + rows, 60 + columns, 120 + 0 * rows], axis=-1)
  image[height // 2 :, width // 3 :] = (60, 70, 80)
  image[(rows + columns) % 7 == 0] = (150, 30, 90)
  return np.clip(image, 0, 255).astype(np.uint8)


class Scenes:
  """Two scenes with labels and depth."""

  def __len__(self):
    return 2

  def __getitem__(self, index):
    image = picture()
    image.flags.writeable = False
    label = np.full(image.shape[:2], index, np.uint8)
    return {'image': image, 'label': label, 'depth': label / 2, 'id': 'a'}


@pytest.mark.parametrize('name', corruptions.CORRUPTIONS)
def test_each_severity_is_worse_and_repeats(name):
  image = picture()
  before = image.copy()
  errors = []
  for severity in corruptions.SEVERITIES:
    found = corruptions.corrupt(image, name, severity, 3)
    again = corruptions.corrupt(image, name, severity, 3)
    assert found.shape == image.shape and found.dtype == np.uint8
    assert np.array_equal(found, again)
    errors.append(np.mean((found.astype(float) - image) ** 2))
  assert np.array_equal(image, before)
  assert errors[0] > 0 and errors == sorted(errors)


@pytest.mark.parametrize('name', ['fog', 'rain', 'night', 'noise'])
def test_images_differ_in_what_is_random(name):
  image = picture()
  one, other = (corruptions.corrupt(image, name, 3, i) for i in (0, 1))
  assert not np.array_equal(one, other)


def test_noise_has_the_published_strength():
  grey = np.full((200, 300, 3), 128, np.uint8)
  for severity, sigma in ((1, 0.08), (2, 0.12)):
    found = corruptions.corrupt(grey, 'noise', severity, 0).astype(float)
    assert found.std() / 255 == pytest.approx(sigma, rel=0.02)
    assert found.mean() == pytest.approx(128, abs=0.5)


def test_jpeg_and_blur_are_those_of_the_libraries():
  image = picture()
  file = io.BytesIO()
  Image.fromarray(image).save(file, 'jpeg', quality=15)
  found = corruptions.corrupt(image, 'jpeg', 3, 0).astype(float)
  assert np.abs(found - np.asarray(Image.open(file))).mean() < 3
  blurred = cv2.GaussianBlur(image, (0, 0), 6 * 64 / 224)
  assert np.array_equal(corruptions.corrupt(image, 'blur', 5, 0), blurred)


def test_fog_hides_what_is_far_and_night_darkens():
  image = picture()
  dull = np.full_like(image, 60)
  foggy = corruptions.corrupt(dull, 'fog', 3, 0).astype(float)
  change = (foggy - dull).mean(axis=(1, 2))
  assert change[:32].mean() > 1.8 * change[-12:].mean() > 0
  dark = corruptions.corrupt(image, 'night', 3, 0)
  assert dark.mean() < 0.7 * image.mean()


@pytest.mark.parametrize('size', [(1, 1), (2, 3), (33, 5)])
@pytest.mark.parametrize('name', corruptions.CORRUPTIONS)
def test_any_size(name, size):
  image = picture(*size)
  assert corruptions.corrupt(image, name, 5, 0).shape == image.shape


def test_only_the_image_changes():
  source = corruptions.corrupted(Scenes(), 'fog2')
  copy = pickle.loads(pickle.dumps(source))
  assert len(source) == 2
  for index in range(2):
    scene, clean = source[index], Scenes()[index]
    expected = corruptions.corrupt(clean['image'], 'fog', 2, index)
    assert np.array_equal(scene['image'], expected)
    assert np.array_equal(copy[index]['image'], expected)
    for key in ('label', 'depth', 'id'):
      assert np.array_equal(scene[key], clean[key])


class Coarse(Scenes):
  """Scenes with the labels of IDD-Lite."""

  def __getitem__(self, index):
    scene = super().__getitem__(index)
    return {'image': scene['image'], 'coarse_label': scene['label']}

  for_evaluation = idd_lite.CoarseSource.for_evaluation


def test_coarse_labels_stay_coarse():
  source, groups = for_evaluation(corruptions.corrupted(Coarse(), 'noise1'))
  assert groups == idd_lite.GROUPS
  assert (source[1]['label'] == groups.stand_ins()[1]).all()
  assert not np.array_equal(source[1]['image'], picture())
  assert for_evaluation(corruptions.corrupted(Scenes(), 'fog1'))[1] is None


def test_specs(tmp_path):
  request = DataRequest(
    (32, 64), cache_dir=str(tmp_path), num_examples={'test': 2}
  )
  clean = open_source('streets/day:test', request)
  foggy = open_source('streets/day:test@fog3', request)
  assert np.array_equal(foggy[1]['label'], clean[1]['label'])
  expected = corruptions.corrupt(clean[1]['image'], 'fog', 3, 1)
  assert np.array_equal(foggy[1]['image'], expected)
  assert foggy.folders == clean.folders
  assert dataset_of('camvid/0006R0+0001TP:val@fog3') == 'camvid'
  assert dataset_of('camvid@fog3') == 'camvid'
  for spec in ('mist3', 'fog', 'fog6', 'fog0', ''):
    with pytest.raises(UserError, match='unknown corruption.*fog, rain, night'):
      open_source(f'streets/day@{spec}', request)
