import os

import numpy as np
import pytest

from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from input_pipeline.datasets import Source
from tests.input_pipeline.conftest import random_ids, random_image
from tests.input_pipeline.datasets.folder.own_images import (
  TABLE,
  ids_of,
  sequences_of,
)


def test_splits_by_folders_below_images_and_labels(own):
  own.both('train/a', 'train/drive 1/deep/b', 'val/c')
  source = own.open('folder:train')
  assert isinstance(source, Source)
  assert ids_of(source) == ['a', 'drive 1/deep/b']
  assert sequences_of(source) == ['a', 'drive 1']
  np.testing.assert_array_equal(source[1]['image'], random_image(1))
  assert (source[1]['label'] == 0).all()
  assert ids_of(own.open('folder:val')) == ['c']


def test_images_and_labels_below_each_split(own):
  for split, name in (('train', 'x/a'), ('test', 'b')):
    own.save(f'{split}/images/{name}.png', random_image(0))
    own.save(f'{split}/labels/{name}.png', np.full((24, 32), 7, np.uint8))
  source = own.open('folder:train')
  assert ids_of(source) == ['x/a'] and sequences_of(source) == ['x']
  assert (source[0]['label'] == 1).all()
  assert ids_of(own.open()) == ['b']


def test_types_differ_and_case_does_not_count(own):
  own.save('images/test/a.JPG', random_image(0), format='JPEG')
  own.save('images/test/b.jpeg', random_image(1))
  for name in 'ab':
    own.save(f'labels/test/{name}.PNG', np.ones((24, 32), np.uint8))
  assert ids_of(own.open()) == ['a', 'b']


@pytest.mark.parametrize(
  ('splits', 'expected'),
  [
    (('train', 'val', 'test'), 'test'),
    (('train', 'validation'), 'validation'),
    (('0016E5',), '0016E5'),
  ],
)
def test_the_split_of_a_spec_that_names_none(own, splits, expected):
  own.both(*(f'{split}/{split}_0' for split in splits))
  assert ids_of(own.open()) == [f'{expected}_0']


def test_no_usual_split_and_several_others(own):
  own.both('day/a', 'night/b')
  with pytest.raises(UserError, match='but day, night; write folder:SPLIT'):
    own.open()


@pytest.mark.parametrize(
  ('there', 'asked'), [('val', 'validation'), ('validation', 'val')]
)
def test_val_and_validation_are_one(own, there, asked):
  own.both(f'{there}/a', f'{there}/b', f'{there}/c')
  for counted in ('val', 'validation'):
    source = own.open(f'folder:{asked}', num_examples={counted: 2})
    assert len(source) == 2


def test_ids_of_splits_that_number_alike_name_the_split(own):
  own.both('train/0', 'test/0', 'test/1')
  assert ids_of(own.open('folder:train')) == ['train/0']
  assert ids_of(own.open('folder:test')) == ['test/0', 'test/1']


def test_size_and_letterbox(own):
  own.both('test/a')
  source = own.open(image_size=(12, 12), resize='letterbox')
  assert source[0]['image'].shape == (12, 12, 3)
  # 24x32 at 12x12: 9 rows between bars of 1 and 2.
  assert list(source[0]['content']) == [1, 0, 10, 12]
  assert (source[0]['label'][1:10] == 0).all()
  assert (source[0]['label'][10:] == 255).all()


def test_the_default_table_is_that_of_cityscapes(own):
  own.image('test/a.png')
  ids = random_ids(0, 34)
  own.save('labels/test/a.png', ids)
  label = own.open(classes=CITYSCAPES)[0]['label']
  np.testing.assert_array_equal(label, CITYSCAPES.lookup[ids])


def test_another_table_reads_the_same_files_anew(own):
  own.both('test/a', value=7)
  assert (own.open()[0]['label'] == 1).all()
  renamed = TABLE.__class__(('r', 'c', 's'), TABLE.colors, TABLE.ids, (0, 255))
  assert own.open(classes=renamed).folders == own.open().folders
  other = TABLE.__class__(TABLE.names, TABLE.colors, ((7,), (1,), (2,)))
  assert (own.open(classes=other)[0]['label'] == 0).all()
  # The copy of the first table is as it was.
  assert (own.open()[0]['label'] == 1).all()
  recoloured = TABLE.__class__(TABLE.names, TABLE.colors[::-1], TABLE.ids, ())
  assert own.open(classes=recoloured).folders != own.open().folders


def test_a_new_label_makes_a_new_copy(own):
  own.both('train/a')
  own.image('train/b.png')
  assert ids_of(own.open('folder:train')) == ['a']
  own.label('train/b.png')
  assert ids_of(own.open('folder:train')) == ['a', 'b']


def _no_images(own):
  own.label('train/a.png')


def _nothing_to_read(own):
  own.write('images/train/a.tif', 'x')


def _two_layouts(own):
  own.both('train/a')
  own.save('val/images/b.png', random_image(0))
  own.save('val/labels/b.png', random_image(0))


def _label_alone(own):
  own.both('train/a')
  own.label('train/b_label.png')


def _label_of_another_split(own):
  own.image('train/a.png')
  own.label('trian/a.png')


def _label_of_another_type(own):
  own.image('train/a.png')
  own.save('labels/train/a.jpg', random_image(0))


def _twice(own):
  own.both('train/a')
  own.image('train/a.jpg')


def _circle(own):
  own.both('train/a')
  os.symlink(own.root / 'images', own.root / 'images/train/loop')


@pytest.mark.parametrize(
  ('make', 'message'),
  [
    (_no_images, r'original: has no folder images; point data\.root'),
    (_nothing_to_read, r'no PNG or JPEG below images but a\.tif'),
    (_two_layouts, r'has images and val/images, two layouts'),
    (_label_alone, r'labels/train/b_label\.png: there is no image .*train/b_l'),
    (_label_of_another_split, r'labels/trian/a\.png: there is no image'),
    (_label_of_another_type, r'labels/train/a\.jpg: labels are read from PNG'),
    (_twice, r'a\.png: a\.jpg is the same scene; remove'),
    (_circle, r'train/loop: a link to a folder that it lies in'),
  ],
)
def test_folders_that_cannot_be_read(own, make, message):
  make(own)
  with pytest.raises(UserError, match=message) as error:
    own.open('folder:train')
  assert '\n' not in str(error.value)
  assert not own.cache.exists()


def test_labels_without_an_image_can_be_left_out(own, capfd):
  _label_alone(own)
  assert ids_of(own.open('folder:train', on_error='skip')) == ['a']
  assert 'b_label.png: there is no image' in capfd.readouterr().err


def test_images_of_other_types_are_said(own, capfd):
  own.both('test/a')
  own.write('images/test/b.webp', 'x')
  own.open()
  assert 'are PNG or JPEG (1): ' in capfd.readouterr().err


def test_images_that_a_program_has_left_in_the_root(own):
  own.both('test/a')
  own.save('overlay/images/b.png', random_image(0))
  assert ids_of(own.open()) == ['a']


@pytest.mark.parametrize('name', ['a\x1b[31mred', os.fsdecode(b'\xff\xfe')])
def test_odd_names_stay_off_the_terminal(own, name):
  own.image(f'test/{name}.png')
  own.label(f'test/{name}.png', value=9)
  message = 'not UTF-8; rename|has no id 9'
  with pytest.raises(UserError, match=message) as error:
    own.open()
  assert '\x1b' not in str(error.value)
  str(error.value).encode()


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('folder:nope', r"no split 'nope' but empty, train; make it of folders"),
    ('folder:empty', r"split 'empty' has no labelled image \(none of its 1"),
    ('folder/night:train', r"no variant 'night'; write folder\[/unlab"),
    ('folder', 'has no split test or validation but empty, train'),
  ],
)
def test_unknown_names_and_splits_without_a_label(own, spec, message):
  own.both('train/a')
  own.image('empty/b.png')
  with pytest.raises(UserError, match=message):
    own.open(spec)


def test_images_in_no_split(own):
  own.both('a')
  with pytest.raises(UserError, match=r"no split 'train' but none;.*0\.7/"):
    own.open('folder:train')


def test_no_depth_and_no_root(own):
  own.both('test/a')
  with pytest.raises(UserError, match='no depth'):
    own.open(depth=True)
  with pytest.raises(UserError, match=r'data\.root is not set'):
    own.open(root='')
