import pickle

import numpy as np
import pytest
from PIL import Image

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline import loader
from input_pipeline.datasets import (
  Source,
  idd_lite,
  open_source,
  skipped_files,
)
from tests.input_pipeline.conftest import Folder, random_image

FRAMES = {
  'train': [('0', '024541'), ('87', '357164'), ('87', '357200')],
  'val': [('132', '475092'), ('516', '0001923'), ('516', '475092')],
}


def random_coarse(seed):
  ids = np.array([*range(7), 255], np.uint8)
  coarse = np.random.default_rng(seed).choice(ids, (6, 8))
  return coarse.repeat(4, 0).repeat(4, 1)


def build(base, prefix=''):
  """Writes a package; seed = position over all splits."""
  folder = Folder(base)
  seed = 0
  for split, frames in FRAMES.items():
    for drive, frame in frames:
      image = f'{prefix}leftImg8bit/{split}/{drive}/{frame}'
      label = f'{prefix}gtFine/{split}/{drive}/{frame}'
      folder.save(f'{image}_image.jpg', random_image(seed))
      folder.save(f'{label}_label.png', random_coarse(seed))
      folder.save(f'{label}_inst_label.png', random_coarse(seed + 50))
      seed += 1
  folder.save(f'{prefix}leftImg8bit/test/9/1_image.jpg', random_image(90))
  return folder


@pytest.fixture
def idd(tmp_path):
  return build(tmp_path)


def ids_of(source):
  return [source[i]['id'] for i in range(len(source))]


# (class, csTrainId, level1Id) of IDD's published table, where csTrainId < 255.
OFFICIAL = [
  ('road', 0, 0),
  ('sidewalk', 1, 1),
  ('non-drivable fallback', 9, 1),
  ('person', 11, 2),
  ('rider', 12, 2),
  ('motorcycle', 17, 3),
  ('bicycle', 18, 3),
  ('car', 13, 3),
  ('truck', 14, 3),
  ('bus', 15, 3),
  ('train', 16, 3),
  ('wall', 3, 4),
  ('fence', 4, 4),
  ('traffic sign', 7, 4),
  ('traffic light', 6, 4),
  ('pole', 5, 4),
  ('building', 2, 5),
  ('vegetation', 8, 5),
  ('sky', 10, 6),
]


def test_train_ids_map_as_in_the_official_table():
  assert sorted(train_id for _, train_id, _ in OFFICIAL) == list(range(19))
  for name, train_id, coarse in OFFICIAL:
    assert idd_lite.TRAIN_ID_TO_COARSE[train_id] == coarse, name
  assert idd_lite.TRAIN_ID_TO_COARSE[255] == class_table.VOID
  assert (idd_lite.TRAIN_ID_TO_COARSE[19:255] == class_table.UNDEFINED).all()
  assert len(idd_lite.COARSE_NAMES) == 7


def test_file_ids_are_the_coarse_classes():
  expected = [*range(7), *[class_table.UNDEFINED] * 248, class_table.VOID]
  np.testing.assert_array_equal(idd_lite.FILE_IDS, expected)


@pytest.mark.parametrize('prefix', ['', 'idd20k_lite/'])
def test_scenes_are_those_of_the_files(tmp_path, prefix):
  folder = build(tmp_path, prefix)
  for spec, split, seed in (
    ('idd_lite', 'val', 3),
    ('idd_lite:train', 'train', 0),
  ):
    source = open_source(spec, folder.request())
    assert isinstance(source, Source)
    assert ids_of(source) == [f'{d}_{frame}' for d, frame in FRAMES[split]]
    for i, (drive, frame) in enumerate(FRAMES[split]):
      scene = source[i]
      path = f'{prefix}leftImg8bit/{split}/{drive}/{frame}_image.jpg'
      with Image.open(folder.root / path) as image:
        np.testing.assert_array_equal(scene['image'], np.asarray(image))
      np.testing.assert_array_equal(
        scene['coarse_label'], random_coarse(seed + i)
      )
      assert scene['sequence'] == drive
      assert scene.keys() == {'image', 'coarse_label', 'id', 'sequence'}


def test_drives_and_size(idd):
  source = open_source('idd_lite/516', idd.request(image_size=(12, 20)))
  assert ids_of(source) == ['516_0001923', '516_475092']
  assert source[0]['coarse_label'].shape == (12, 20)
  with pytest.raises(UserError, match=r"'87' is not in val; there are 132"):
    open_source('idd_lite/87', idd.request())


def test_nothing_takes_coarse_classes_for_train_ids(idd):
  source = open_source('idd_lite', idd.request())
  for copy in (source, pickle.loads(pickle.dumps(source))):
    with pytest.raises(UserError, match='7 coarse classes'):
      copy[0]['label']
    with pytest.raises(KeyError, match='depth'):
      copy[0]['depth']
    with pytest.raises(UserError, match='7 coarse classes'):
      next(loader.eval_loader(copy, batch_size=2))
    with pytest.raises(UserError, match='7 coarse classes'):
      next(loader.train_loader(copy, batch_size=2, seed=0))


def test_wrong_folder(tmp_path):
  folder = Folder(tmp_path)
  folder.save('elsewhere/a.jpg', random_image(0))
  with pytest.raises(UserError, match=r'leftImg8bit/val: no such.*gtFine'):
    open_source('idd_lite', folder.request())
  with pytest.raises(UserError, match=r'nope.*data\.root'):
    open_source('idd_lite', folder.request(root='nope'))
  assert not folder.cache.exists()


def test_missing_label_folder_is_named(idd):
  (idd.root / 'gtFine').rename(idd.root / 'elsewhere')
  with pytest.raises(UserError, match='gtFine/val: no such folder'):
    open_source('idd_lite', idd.request())


def test_drive_without_labels_is_named(idd):
  (idd.root / 'gtFine/val/132').rename(idd.root / 'elsewhere')
  path = 'gtFine/val/132/475092_label.png'
  with pytest.raises(UserError, match=f'{path}: file is missing'):
    open_source('idd_lite', idd.request())


def damage(folder, path, kind):
  path = folder.root / path
  if kind == 'missing':
    path.unlink()
  elif kind == 'truncated':
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
  elif kind == 'size':
    folder.save(path, np.zeros((24, 31), np.uint8))
  elif kind == 'id':
    ids = random_coarse(0)
    ids[3, 5] = 7
    folder.save(path, ids)


@pytest.mark.parametrize(
  ('role', 'kind', 'reason'),
  [
    ('image', 'missing', 'file is missing'),
    ('image', 'truncated', 'cannot be decoded'),
    ('label', 'missing', 'file is missing'),
    ('label', 'truncated', 'cannot be decoded'),
    ('label', 'size', 'label is 24x31, its image is 24x32'),
    ('label', 'id', 'label id 7 is not defined'),
  ],
)
def test_damaged_file_is_named_or_skipped(idd, role, kind, reason):
  path = {
    'image': 'leftImg8bit/val/516/0001923_image.jpg',
    'label': 'gtFine/val/516/0001923_label.png',
  }[role]
  damage(idd, path, kind)
  with pytest.raises(UserError, match=f'{path}: .*{reason}'):
    open_source('idd_lite', idd.request())
  source = open_source('idd_lite', idd.request(on_error='skip'))
  assert ids_of(source) == ['132_475092', '516_475092']
  (skipped,) = skipped_files(source)
  assert skipped['id'] == '516_0001923'


def test_unknown_split_and_depth(idd):
  with pytest.raises(UserError, match="no split 'test' with public labels"):
    open_source('idd_lite:test', idd.request())
  with pytest.raises(UserError, match='no depth'):
    open_source('idd_lite', idd.request(depth=True))
