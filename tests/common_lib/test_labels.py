import numpy as np
import pytest
from cityscapesscripts.helpers import labels as official

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline.datasets import camvid


def test_cityscapes_table_is_the_official_one():
  for label in official.labels:
    if label.id >= 0:
      assert class_table.CITYSCAPES.lookup[label.id] == label.trainId, (
        label.name
      )
  lookup = class_table.CITYSCAPES.lookup
  assert (lookup[34:] == class_table.UNDEFINED).all()
  assert (lookup < class_table.CITYSCAPES.num_classes).sum() == 19


def test_names_and_colours_are_the_official_ones():
  scored = [x for x in official.labels if 0 <= x.trainId < 255]
  scored.sort(key=lambda label: label.trainId)
  assert tuple(x.name for x in scored) == class_table.CITYSCAPES.names
  np.testing.assert_array_equal(
    class_table.CITYSCAPES.colors, [x.color for x in scored]
  )


def test_licence_plate_is_void():
  plate = official.name2label['license plate']
  ids = np.array([[plate.id, 7]], np.int32)
  np.testing.assert_array_equal(
    class_table.remap(ids, class_table.CITYSCAPES.lookup, 'x'),
    [[class_table.VOID, 0]],
  )


def test_camvid_table_by_name():
  expected = {
    'Sky': 'sky',
    'Building': 'building',
    'Pole': 'pole',
    'Road': 'road',
    'Pavement': 'sidewalk',
    'Tree': 'vegetation',
    'SignSymbol': 'traffic sign',
    'Fence': 'fence',
    'Car': 'car',
    'Pedestrian': 'person',
    'Bicyclist': 'bicycle',
  }
  # In the order of CamVid's ids.
  for data_id, name in enumerate(expected.values()):
    assert class_table.CITYSCAPES.names[camvid.TABLE[data_id]] == name
  assert camvid.TABLE[11] == class_table.VOID
  assert (camvid.TABLE[12:] == class_table.UNDEFINED).all()


@pytest.mark.parametrize('dtype', [np.uint8, np.int32, np.uint16, np.int64])
def test_remap_equals_a_loop(dtype):
  ids = np.random.default_rng(0).integers(0, 34, (17, 9)).astype(dtype)
  expected = [[official.id2label[int(i)].trainId for i in row] for row in ids]
  mapped = class_table.remap(ids, class_table.CITYSCAPES.lookup, 'x')
  assert mapped.dtype == np.uint8
  np.testing.assert_array_equal(mapped, expected)


@pytest.mark.parametrize(
  ('dtype', 'bad'),
  [(np.uint8, 34), (np.uint8, 255), (np.int32, -2), (np.uint16, 26001)],
)
def test_undefined_ids_are_refused(dtype, bad):
  ids = np.zeros((4, 5), dtype)
  ids[1:3, 2] = bad
  with pytest.raises(UserError, match=rf'a/b\.png.*id {bad} .*\(2 pixels\)'):
    class_table.remap(ids, class_table.CITYSCAPES.lookup, 'a/b.png')


def test_files_of_train_ids_do_not_pass_for_files_of_ids():
  ids = np.array([[0, 18, 255]], np.uint8)
  with pytest.raises(UserError, match='255'):
    class_table.remap(ids, class_table.CITYSCAPES.lookup, 'x')


def test_lookup_table_refuses_classes_that_do_not_exist():
  with pytest.raises(ValueError, match='254'):
    class_table.lookup_table({3: 254})


def test_colorize():
  label = np.array([[0, 18], [255, 13]], np.uint8)
  np.testing.assert_array_equal(
    class_table.CITYSCAPES.colorize(label),
    [[(128, 64, 128), (119, 11, 32)], [(0, 0, 0), (0, 0, 142)]],
  )
