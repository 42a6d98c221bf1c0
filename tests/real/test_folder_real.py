"""CamVid's real files as a user's own folder, by links."""

import dataclasses
import pathlib

import numpy as np
import pytest

from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from input_pipeline.datasets import DataRequest, camvid, open_source

# Ids of CamVid's files in Cityscapes' classes.
TABLE = dataclasses.replace(
  CITYSCAPES,
  ids=tuple(
    tuple(int(i) for i in np.flatnonzero(index == camvid.TABLE))
    for index in range(CITYSCAPES.num_classes)
  ),
  void_ids=(11,),
)
SEQUENCES = {'0016E5': 'train', '0006R0': 'val', '0001TP': 'test'}
EVERY = 20  # frames of a sequence


@pytest.fixture
def own(camvid_root, tmp_path):
  """Every 20th frame, each second of them with its label."""
  origin = pathlib.Path(camvid_root) / 'train'
  taken = dict.fromkeys(SEQUENCES, 0)
  for path in sorted(origin.iterdir())[::EVERY]:
    sequence = path.stem.split('_')[0]
    labels = origin.with_name('trainannot')
    kinds = {'images': path, 'labels': labels / f'{path.stem}.png'}
    for kind, source in list(kinds.items())[: 1 + (taken[sequence] % 2 == 0)]:
      link = tmp_path / f'{kind}/{sequence}/{source.name}'
      link.parent.mkdir(parents=True, exist_ok=True)
      link.symlink_to(source)
    taken[sequence] += 1
  return DataRequest(
    image_size=(90, 120),
    root=str(tmp_path),
    cache_dir=str(tmp_path / 'cache'),
    classes=TABLE,
    split='0.6/0.2/0.2',
  )


def test_the_same_pixels_as_the_built_in_data_set(own, camvid_root):
  reference = open_source(
    'camvid:train',
    dataclasses.replace(own, root=camvid_root, classes=CITYSCAPES),
  )
  known = {scene['id']: scene for scene in reference}
  found = {}
  for split in ('train', 'val', 'test'):
    sequences = set()
    for scene in open_source(f'folder:{split}', own):
      same = known[scene['id'].split('/')[1]]
      np.testing.assert_array_equal(scene['image'], same['image'])
      np.testing.assert_array_equal(scene['label'], same['label'])
      assert scene['sequence'] == same['sequence']
      sequences.add(scene['sequence'])
    found[split] = sequences
  assert sum(map(len, found.values())) == 3
  pool = open_source('folder/unlabelled', own)
  assert {scene['sequence'] for scene in pool} == found['train']
  assert all((scene['label'] == 255).all() for scene in pool)


def test_the_wrong_table_is_one_sentence(own):
  wrong = dataclasses.replace(own, classes=CITYSCAPES)
  # 11 is a building in Cityscapes' files; 4 to 10 are no classes there, but
  # none of CamVid's ids is unknown, so it takes a table without them.
  fewer = dataclasses.replace(wrong.classes, void_ids=(0, 1))
  with pytest.raises(UserError, match=r'the class table has no id \d+ \('):
    open_source('folder:train', dataclasses.replace(wrong, classes=fewer))
