import pickle

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline import loader
from tests.input_pipeline.conftest import SIZE, random_image
from tests.input_pipeline.datasets.folder.own_images import ids_of


@pytest.fixture
def partly(own):
  """Labelled: train/a, test/c. Not: train/b, more/d, test/e, loose f."""
  own.both('train/a', 'test/c')
  for seed, stem in enumerate(('train/b', 'more/x/d', 'test/e', 'f')):
    own.image(f'{stem}.png', seed)
  return own


def test_what_is_not_labelled(partly, capfd):
  source = partly.open('folder/unlabelled')
  # Not e, a neighbour of what is tested on.
  assert ids_of(source) == ['f', 'x/d', 'b']
  assert 'held out (1)' in capfd.readouterr().err
  np.testing.assert_array_equal(source[2]['image'], random_image(0))
  for scene in source:
    assert scene['label'].dtype == np.uint8
    assert scene['label'].shape == SIZE
    assert (scene['label'] == 255).all()
  again = pickle.loads(pickle.dumps(source))
  assert ids_of(again) == ids_of(source)


@pytest.mark.parametrize(
  ('split', 'expected'), [('train', ['b']), ('test', ['e']), ('more', ['x/d'])]
)
def test_what_is_not_labelled_of_a_split(partly, split, expected):
  assert ids_of(partly.open(f'folder/unlabelled:{split}')) == expected


def test_labelled_splits_hold_no_unlabelled_image(partly, capfd):
  assert ids_of(partly.open('folder:train')) == ['a']
  assert 'without a label (1)' in capfd.readouterr().err


def test_no_label_at_all(own):
  own.image('a.jpg')
  own.image('b/c/d.png')
  assert ids_of(own.open('folder/unlabelled')) == ['a', 'c/d']
  assert len(own.open('folder/unlabelled', num_examples={'train': 1})) == 1


def test_everything_is_labelled(own):
  own.both('train/a', 'test/b')
  own.image('test/c.png')
  for spec in ('folder/unlabelled', 'folder/unlabelled:train'):
    with pytest.raises(UserError, match='there is no unlabelled pool; add'):
      own.open(spec)
  with pytest.raises(UserError, match="no split 'x' but test, train"):
    own.open('folder/unlabelled:x')


def test_neighbours_of_what_a_list_tests_on_are_no_pool(own):
  own.both('one/a', 'two/b')
  for stem in ('one/c', 'two/d', 'three/e', 'f'):
    own.image(f'{stem}.png')
  own.write('splits/train.txt', 'one/a')
  own.write('splits/test.txt', 'two/b')
  assert ids_of(own.open('folder/unlabelled')) == ['f', 'one/c', 'three/e']
  assert ids_of(own.open('folder/unlabelled:test')) == ['two/d']


def test_pixels_are_checked_as_everywhere(partly):
  path = partly.root / 'images/train/b.png'
  path.write_bytes(path.read_bytes()[:100])
  with pytest.raises(UserError, match=r'train/b\.png: cannot be decoded'):
    partly.open('folder/unlabelled')
  source = partly.open('folder/unlabelled', on_error='skip')
  assert ids_of(source) == ['f', 'x/d']


def test_letterbox_of_the_pool(partly):
  scene = partly.open(
    'folder/unlabelled', image_size=(12, 12), resize='letterbox'
  )[0]
  assert list(scene['content']) == [1, 0, 10, 12]


def test_loaders_and_corruptions_take_it(partly):
  source = partly.open('folder/unlabelled@fog3')
  batches = loader.eval_loader(source, batch_size=2)
  assert sum(int(batch['mask'].sum()) for batch in batches) == 3
