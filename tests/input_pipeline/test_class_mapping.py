import dataclasses
import pickle

import numpy as np
import pytest

from common_lib.class_table import CITYSCAPES, ClassTable
from common_lib.errors import UserError
from input_pipeline import class_mapping
from input_pipeline.class_groups import ClassGroups
from input_pipeline.datasets import camvid as camvid_data
from input_pipeline.datasets import open_source, skipped_files
from tests.input_pipeline.conftest import Folder, random_ids

# Cityscapes' trainIds in three classes; what is left has none.
COARSE = ClassTable(
  names=('ground', 'thing', 'rest'),
  colors=((1, 1, 1), (2, 2, 2), (3, 3, 3)),
  ids=((0, 1, 9), (5, 6, 7, 11, 12, 13, 14, 15, 16, 17, 18), (2, 3, 4, 8)),
  void_ids=(10, 255),
)


def without(train_ids):
  return dataclasses.replace(
    COARSE,
    ids=tuple(
      tuple(i for i in own if i not in train_ids) for own in COARSE.ids
    ),
  )


def test_labels_are_in_the_classes_of_the_table(camvid):
  plain = open_source('camvid:train', camvid.request())
  source = open_source('camvid:train', camvid.request(classes=COARSE))
  assert len(source) == len(plain) == 4
  seen = set()
  for i in range(4):
    train_ids = camvid_data.TABLE[random_ids(i, 12)]
    label = source[i]['label']
    assert label.dtype == np.uint8
    for index, own in enumerate(COARSE.ids):
      np.testing.assert_array_equal(label == index, np.isin(train_ids, own))
    np.testing.assert_array_equal(label == 255, np.isin(train_ids, (10, 255)))
    seen |= set(np.unique(label))
    scene, other = source[i], plain[i]
    assert scene.keys() == other.keys() and scene['id'] == other['id']
    np.testing.assert_array_equal(scene['image'], other['image'])
    np.testing.assert_array_equal(other['label'], train_ids)
  assert seen == {0, 1, 2, 255}
  # One copy serves every table, and says what it left out.
  assert source.folders == plain.folders
  assert skipped_files(source) == []
  copy = pickle.loads(pickle.dumps(source))
  np.testing.assert_array_equal(copy[1]['label'], source[1]['label'])


def test_corrupted_labels_are_mapped_too(camvid):
  request = camvid.request(classes=COARSE)
  source = open_source('camvid:train', request)
  worse = open_source('camvid:train@fog3', request)
  np.testing.assert_array_equal(worse[0]['label'], source[0]['label'])


def test_the_ids_of_cityscapes_change_nothing(camvid):
  names = tuple(name.upper() for name in CITYSCAPES.names)
  renamed = dataclasses.replace(CITYSCAPES, names=names)
  assert class_mapping.class_of_train_id(renamed, 'x') is None
  source = open_source('camvid', camvid.request(classes=renamed))
  assert not isinstance(source, class_mapping.MappedSource)


def test_drawn_streets(tmp_path):
  request = Folder(tmp_path).request(
    image_size=(64, 128), num_examples={'test': 1}, classes=COARSE
  )
  label = open_source('streets', request)[0]['label']
  assert set(np.unique(label)) <= {0, 1, 2, 255}


def test_a_train_id_that_the_table_lacks_is_named_at_once(camvid):
  request = camvid.request(classes=without({3}))
  with pytest.raises(UserError, match=r'list 3 \(wall\); put each into'):
    open_source('camvid', request)
  assert not camvid.cache.exists()
  request = camvid.request(classes=without(set(range(5, 13))))
  # 10 is void in the table.
  with pytest.raises(UserError, match=r'list 5 .*, 9 \(terrain\) and 2 more;'):
    open_source('camvid', request)


def test_ids_of_label_files_are_no_train_ids(camvid):
  other = dataclasses.replace(CITYSCAPES, void_ids=(0,))
  with pytest.raises(UserError, match=r'trainIds 0 to 18, .* list 1 \(sidewal'):
    open_source('camvid', camvid.request(classes=other))


def test_coarse_labels_of_a_data_set_stay_its_own():
  class Coarse:
    def __len__(self):
      return 0

    def __getitem__(self, index):
      raise IndexError

    def for_evaluation(self):
      raise NotImplementedError

  indices = class_mapping.class_of_train_id(COARSE, 'x')
  with pytest.raises(UserError, match='idd has no trainIds, only coarse'):
    class_mapping.mapped(Coarse(), indices, 'idd')
  same = Coarse()
  assert class_mapping.mapped(same, None, 'idd') is same


def test_groups_of_a_table():
  table = dataclasses.replace(
    COARSE, groups=(('b', ('rest', 'ground')), ('a', ('thing',)))
  )
  groups = ClassGroups.of_table(table)
  assert groups.names == ('b', 'a')
  assert groups.of_train_id == (0, 1, 0)
  assert list(groups.stand_ins()) == [0, 1]
  with pytest.raises(ValueError, match='no groups'):
    ClassGroups.of_table(COARSE)
