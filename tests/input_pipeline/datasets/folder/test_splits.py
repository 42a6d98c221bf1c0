import random
import unicodedata

import pytest

from common_lib.errors import UserError
from tests.input_pipeline.conftest import random_image
from tests.input_pipeline.datasets.folder.own_images import (
  ids_of,
  sequences_of,
)


def test_lists(own):
  own.both('a', 'drive/b.c', 'drive/d', 'e', 'f')
  own.write('splits/train.txt', '\ufeff# mine\n drive/b.c \r\n\ndrive/d.png\n')
  own.write('splits/validation.txt', 'images/a.png\nimages/a.png\n')
  assert ids_of(own.open('folder:train')) == ['drive/b.c', 'drive/d']
  assert sequences_of(own.open('folder:train')) == ['drive', 'drive']
  assert ids_of(own.open('folder:val')) == ['a']


def test_labelled_images_of_no_split_are_said(own, capfd):
  own.both('a', 'b')
  own.write('splits/test.txt', 'a')
  own.open()
  assert 'none of the splits test are not used (1)' in capfd.readouterr().err


def test_images_beside_the_folders_of_splits_are_said(own, capfd):
  own.both('test/a', 'b', 'c')
  assert ids_of(own.open()) == ['a']
  assert 'none of the splits test are not used (2)' in capfd.readouterr().err


def test_names_of_a_list_however_composed(own):
  name = 'straße_ä'
  own.both(unicodedata.normalize('NFD', name))
  own.write('splits/test.txt', unicodedata.normalize('NFC', name))
  assert len(own.open()) == 1


@pytest.mark.parametrize(
  ('train', 'test', 'message'),
  [
    (
      'a\nx\n',
      'b',
      r"splits/train\.txt:2: there is no image 'x' below",
    ),
    ('a\nb\n', 'b', r'train\.txt:2: b is in .*splits/test\.txt too; leave'),
    (b'\xff', 'b', r'splits/train\.txt: is not UTF-8'),
    ('g/c', 'g/d', r'images/g/c\.png and .*images/g/d\.png are of one group'),
    ('# none yet', 'b', r"split 'train' has no labelled image \(it is empty\)"),
  ],
)
def test_lists_that_cannot_be_used(own, train, test, message):
  own.both('a', 'b', 'g/c', 'g/d')
  path = own.write('splits/train.txt', '')
  path.write_bytes(train if isinstance(train, bytes) else train.encode())
  own.write('splits/test.txt', test)
  with pytest.raises(UserError, match=message):
    own.open('folder:train')


def test_splits_made_in_two_ways(own):
  own.both('train/a')
  own.write('splits/train.txt', 'train/a')
  with pytest.raises(
    UserError, match=r'splits/train\.txt and the folder images/train both'
  ):
    own.open('folder:train')
  with pytest.raises(UserError, match=r'train\.txt and data\.split=1/0/0 and'):
    own.open('folder:train', split='1/0/0')


def test_a_group_of_two_folders_is_refused(own):
  own.both('train/drive/a', 'train/other/a', 'test/drive/b')
  with pytest.raises(UserError) as error:
    own.open('folder:train')
  message = str(error.value)
  for part in ('images/train/drive/a.png', 'images/test/drive/b.png', 'group'):
    assert part in message
  # Unlabelled neighbours of a test's images are no pool for a training.
  (own.root / 'labels/train/drive/a.png').unlink()
  with pytest.raises(UserError, match='are of one group'):
    own.open('folder/unlabelled:train')


def test_the_table_of_groups_comes_before_the_folders(own):
  own.both('train/front/a', 'train/front/b', 'test/front/c')
  own.write(
    'groups.csv',
    'note,image,group\n-,front/a,"monday, early"\n-,train/front/b.png,x\n'
    '-,images/test/front/c.png,y\n-,gone,z\n',
    encoding='utf-8-sig',
  )
  assert sequences_of(own.open('folder:train')) == ['monday, early', 'x']
  assert sequences_of(own.open()) == ['y']


def test_the_table_of_groups_where_splits_hold_images(own):
  for split in ('train', 'test'):
    own.save(f'{split}/images/a.png', random_image(0))
    own.label(f'../{split}/labels/a.png')
  own.write('groups.csv', 'image,group\ntrain/images/a.png,x\ntest/a,y\n')
  assert sequences_of(own.open('folder:train')) == ['x']


@pytest.mark.parametrize(
  ('table', 'message'),
  [
    ('a,b\n', r"groups\.csv: its first line has no column 'image'; begin"),
    ('', r"has no column 'image'; begin it with image,group"),
    ('image,group\na,x\n', r'no row for the image test/b and 2 more; add a'),
    ('image,group\na,\n', r'groups\.csv:2: has no group; write image,group'),
    ('image,group\na\n', r'groups\.csv:2: has no group'),
    ('image,group\n"a,x\n', r'groups\.csv:2: has no group'),
    ('image,group\ntrain/a,x\na.png,y\n', r'csv:3: a\.png is of the group'),
    ('image,group\nc,x\n', r'2: c is more than one image \(test/c, train/c'),
    ('image,group\na,x\nb,x\ntrain/c,y\ntest/c,z\n', 'are of one group'),
  ],
)
def test_tables_of_groups_that_cannot_be_used(own, table, message):
  own.both('train/a', 'test/b', 'train/c', 'test/c')
  own.write('groups.csv', table)
  with pytest.raises(UserError, match=message):
    own.open('folder:train')


@pytest.mark.parametrize('seed', range(12))
def test_no_group_is_ever_in_two_splits(own, seed):
  """Random folders, lists, tables and shares: whole groups or a sentence."""
  rng = random.Random(seed)
  groups = [f'g{i}' for i in range(rng.randint(1, 6))]
  stems = [
    f'{rng.choice([*groups, ""])}/{i}'.lstrip('/')
    for i in range(rng.randint(3, 20))
  ]
  own.both(*stems)
  in_table = rng.random() < 0.5
  group_of = {stem: rng.choice(groups) for stem in stems}
  if in_table:
    rows = [f'{stem},{group}' for stem, group in group_of.items()]
    own.write('groups.csv', '\n'.join(['image,group', *rows]))
  split = '0.5/0.25/0.25'
  if rng.random() < 0.3:
    split = ''
    for name in ('train', 'val', 'test'):
      own.write(f'splits/{name}.txt', '')
    for stem in stems:
      path = own.root / f'splits/{rng.choice(("train", "val", "test"))}.txt'
      path.write_text(f'{path.read_text()}{stem}\n')
  seen = {}
  for name in ('train', 'validation', 'test'):
    try:
      source = own.open(f'folder:{name}', split=split, image_size=(2, 2))
    except UserError as error:
      assert any(
        part in str(error)
        for part in ('one group', 'groups alone', 'no labelled image')
      )
      continue
    for scene in source:
      stem = scene['id']
      folder = stem.split('/')[0] if '/' in stem else stem
      expected = group_of[stem] if in_table else folder
      assert scene['sequence'] == expected
      assert seen.setdefault(expected, name) == name
