"""What a command is given to learn from."""

import json

import numpy as np
import pytest
from PIL import Image

from common_lib.class_table import CITYSCAPES, VOID, ClassTable
from input_pipeline.datasets import DataRequest, open_source
from segxal_jax.pool import labelled_folder

TABLE = ClassTable(
  names=('road', 'rest'),
  colors=((1, 2, 3), (4, 5, 6)),
  ids=((7, 8), (300,)),
  void_ids=(0,),
  groups=(('all', ('road', 'rest')),),
)


def _scenes(*ids):
  rng = np.random.default_rng(len(ids))
  return [
    {
      'id': one,
      'image': rng.integers(0, 256, (6, 10, 3), np.uint8),
      'label': rng.choice(np.uint8([0, 1, VOID]), (6, 10)),
    }
    for one in ids
  ]


def test_it_is_a_data_set_of_ones_own(tmp_path):
  scenes = _scenes('drive_1/001', 'drive_2/001')
  folder = tmp_path / 'pool'
  labelled_folder.write(scenes, folder, TABLE, lambda: None)
  stored = json.loads((folder / 'classes.json').read_text())
  assert [one['ids'] for one in stored['classes']] == [[0], [1]]
  assert stored['void_ids'] == [VOID] and stored['groups'] == {
    'all': ['road', 'rest']
  }
  with Image.open(folder / 'labels' / 'train' / 'drive_1' / '001.png') as label:
    assert label.mode == 'L'
  table = ClassTable(TABLE.names, TABLE.colors, ((0,), (1,)), (VOID,))
  request = DataRequest(
    (6, 10), str(folder), str(tmp_path / 'cache'), classes=table
  )
  source = open_source('folder:train', request)
  assert [scene['sequence'] for scene in source] == ['drive_1', 'drive_2']
  for scene, wanted in zip(source, scenes, strict=True):
    np.testing.assert_array_equal(scene['image'], wanted['image'])
    np.testing.assert_array_equal(scene['label'], wanted['label'])


@pytest.mark.parametrize(
  'id', ['/etc/x', 'a/../../b', '', ' ', 'a\nb', '\ud800']
)
def test_an_id_that_is_no_path_below_it_is_numbered(id, tmp_path):
  folder = tmp_path / 'pool'
  labelled_folder.write(_scenes(id), folder, CITYSCAPES, lambda: None)
  found = list(tmp_path.rglob('*.png'))
  assert {path.name for path in found} == {'0000000.png'} and len(found) == 2


def test_a_folder_is_replaced_whole_or_not_there(tmp_path):
  folder = tmp_path / 'pool'
  labelled_folder.write(_scenes('a', 'b'), folder, TABLE, lambda: None)
  calls = []

  def stop():
    calls.append(1)
    if len(calls) == 2:
      raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    labelled_folder.write(_scenes('c', 'd'), folder, TABLE, stop)
  assert not folder.exists()
  labelled_folder.write(_scenes('c'), folder, TABLE, lambda: None)
  assert [path.name for path in tmp_path.iterdir()] == ['pool']
  assert len(list(folder.rglob('*.png'))) == 2
