import itertools
import random

import pytest

from common_lib.errors import UserError
from input_pipeline.datasets.folder import shares
from tests.input_pipeline.conftest import random_image
from tests.input_pipeline.datasets.folder.own_images import (
  ids_of,
  sequences_of,
)

SHARES = shares.parsed('0.7/0.15/0.15')


def keys(sizes):
  return {(True, f'g{i}'): size for i, size in enumerate(sizes)}


def distance(sizes, of_split):
  """How far the sizes of splits are from their shares, summed."""
  total = sum(sizes.values())
  return sum(
    abs(share * total - sum(n for k, n in sizes.items() if of_split[k] == name))
    for name, share in SHARES.items()
  )


@pytest.mark.parametrize(
  'text',
  [
    *('', '0.7', '0.7/0.3', '0.7/0.15/0.16', '70/15/15', 'a/b/c', '1/0/0/0'),
    *('-0.2/0.6/0.6', 'nan/0.5/0.5', '0.7,0.15,0.15', '1e400/0/0', '\x1b/0/1'),
  ],
)
def test_what_is_no_shares(text):
  with pytest.raises(UserError, match='data.split is .*as 0.7/0.15/0.15'):
    shares.parsed(text)


def test_shares():
  assert SHARES == {'train': 0.7, 'validation': 0.15, 'test': 0.15}
  assert shares.parsed('0.1/0.2/0.7')['test'] == 0.7
  assert shares.parsed('0.8/0/0.2') == {'train': 0.8, 'test': 0.2}


def test_by_hand():
  sizes = keys([10, 40, 10, 30, 10])
  of_split = shares.assign(sizes, SHARES)
  assert distance(sizes, of_split) == pytest.approx(10)  # 70 or 80, 10, 10
  assert of_split[True, 'g1'] == of_split[True, 'g3'] == 'train'


@pytest.mark.parametrize('seed', range(30))
def test_few_groups_are_divided_as_near_as_can_be(seed, monkeypatch):
  rng = random.Random(seed)
  largest = rng.choice([1, 5, 100])
  sizes = keys([rng.randint(1, largest) for _ in range(rng.randint(3, 7))])
  of_split = shares.assign(sizes, SHARES)
  assert of_split.keys() == sizes.keys()
  assert set(of_split.values()) == set(SHARES)
  best = min(
    distance(sizes, dict(zip(sizes, names)))
    for names in itertools.product(SHARES, repeat=len(sizes))
    if set(names) == set(SHARES)
  )
  assert distance(sizes, of_split) == pytest.approx(best)
  # As many groups are divided: never an empty split, and near.
  monkeypatch.setattr(shares, '_MOST_DIVISIONS', 0)
  of_split = shares.assign(sizes, SHARES)
  assert set(of_split.values()) == set(SHARES)
  assert distance(sizes, of_split) <= best + 0.15 * sum(sizes.values())


def test_many_groups_reach_the_shares():
  sizes = keys([1] * 1000)
  of_split = shares.assign(sizes, SHARES)
  for name, count in (('train', 700), ('validation', 150), ('test', 150)):
    assert list(of_split.values()).count(name) == count


def test_the_order_of_the_groups_decides_nothing():
  sizes = keys([3, 3, 1, 1, 2, 2, 5])
  shuffled = dict(random.Random(0).sample(list(sizes.items()), len(sizes)))
  assert shares.assign(sizes, SHARES) == shares.assign(shuffled, SHARES)


def opened(own, splits=('train', 'validation', 'test'), **changes):
  request = {'split': '0.7/0.15/0.15', **changes}
  return {name: own.open(f'folder:{name}', **request) for name in splits}


def test_folders_divided_by_subfolder(own):
  rng = random.Random(1)
  own.both(*(f'g{g}/{i}' for g in range(5) for i in range(rng.randint(1, 4))))
  sources = opened(own)
  groups = [set(sequences_of(source)) for source in sources.values()]
  assert sum(map(len, groups)) == len(set.union(*groups)) == 5
  again = opened(own, on_error='skip')
  for name, source in sources.items():
    assert ids_of(again[name]) == ids_of(source)
  assert ids_of(own.open(split='0.7/0.15/0.15')) == ids_of(sources['test'])


def test_images_without_a_group_are_divided_one_by_one(own, capfd):
  own.both(*(f'frame_{i:06d}' for i in range(20)))
  sources = opened(own)
  assert [len(source) for source in sources.values()] == [14, 3, 3]
  every = sum(map(ids_of, sources.values()), [])
  assert sorted(every) == [f'frame_{i:06d}' for i in range(20)]
  notes = [
    line for line in capfd.readouterr().err.splitlines() if 'one video' in line
  ]
  assert len(notes) == 1
  assert '20 images' in notes[0] and '(frame_*)' in notes[0]
  assert 'groups.csv' in notes[0]


def test_no_word_of_a_video_where_groups_are_said(own, capfd):
  names = [f'frame_{i:06d}' for i in range(12)]
  own.both(*names)
  rows = [f'{name},drive{i // 4}' for i, name in enumerate(names)]
  own.write('groups.csv', '\n'.join(['image,group', *rows]))
  opened(own)
  assert 'one video' not in capfd.readouterr().err


def test_only_labels_count_and_the_pool_keeps_to_the_groups(own):
  own.both('a/0', 'a/1', 'b/0', 'c/0')
  for stem in ('a/9', 'b/8', 'b/9', 'c/9', 'd/9'):
    own.image(f'{stem}.png')
  sources = opened(own)
  split_of = {
    group: name
    for name, source in sources.items()
    for group in sequences_of(source)
  }
  assert split_of['a'] == 'train' and len(split_of) == 3
  pools = opened(own, splits=())
  for group, name in split_of.items():
    pool = own.open(f'folder/unlabelled:{name}', split='0.7/0.15/0.15')
    assert set(sequences_of(pool)) == {group}
  pools = own.open('folder/unlabelled', split='0.7/0.15/0.15')
  assert ids_of(pools) == ['a/9', 'd/9']


@pytest.mark.parametrize(
  ('stems', 'split', 'message'),
  [
    (
      ('a/0', 'a/1', 'b/0'),
      '0.7/0.15/0.15',
      r'3 splits, but .* 2 groups',
    ),
    (('a/0', 'b/0'), '0.7/0.15', r"data\.split is '0\.7/0\.15'; write three"),
    (('train/0', 'b/0'), '1/0/0', r'data\.split=1/0/0 and the folder images/t'),
  ],
)
def test_what_cannot_be_divided(own, stems, split, message):
  own.both(*stems)
  with pytest.raises(UserError, match=message):
    own.open('folder:train', split=split)


def test_shares_where_splits_hold_images(own):
  own.save('day/images/a.png', random_image(0))
  with pytest.raises(UserError, match='data.split=1/0/0 and the folder day/im'):
    own.open('folder:train', split='1/0/0')


def test_a_share_of_nothing_is_no_split(own):
  own.both('a/0', 'b/0')
  sources = opened(own, ('train', 'test'), split='0.5/0/0.5')
  assert [len(source) for source in sources.values()] == [1, 1]
  with pytest.raises(UserError, match="no split 'val' but train, test"):
    own.open('folder:val', split='0.5/0/0.5')


def test_nothing_labelled(own):
  own.image('a/0.png')
  with pytest.raises(UserError, match="'train' has no labelled image"):
    own.open('folder:train', split='0.7/0.15/0.15')
