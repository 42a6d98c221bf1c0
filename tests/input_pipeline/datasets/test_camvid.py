import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from input_pipeline.datasets import (
  camvid,
  open_source,
  readers,
  skipped_files,
)


def ids_of(source):
  return [source[i]['id'] for i in range(len(source))]


def original(folder, split, name):
  path = next((folder.root / split).glob(f'{name}.*'))
  with (
    Image.open(path) as image,
    Image.open(folder.root / f'{split}annot' / f'{name}.png') as label,
  ):
    return np.asarray(image), camvid.TABLE[np.asarray(label)]


@pytest.mark.parametrize(
  ('spec', 'expected'),
  [
    (
      'camvid:train',
      ['0001TP_006690', '0001TP_006720', '0006R0_f00930', '0016E5_00390'],
    ),
    ('camvid', ['0016E5_07959', '0016E5_07961']),
    ('camvid:test', ['0001TP_008550', 'Seq05VD_f00000']),
    ('camvid/0016E5', ['0016E5_00390', '0016E5_07959', '0016E5_07961']),
    ('camvid/0016E5:train', ['0016E5_00390']),
    ('camvid/0001TP', ['0001TP_006690', '0001TP_006720', '0001TP_008550']),
    (
      'camvid/0006R0+0001TP:train',
      ['0001TP_006690', '0001TP_006720', '0006R0_f00930'],
    ),
  ],
)
def test_specs_give_these_frames(camvid, spec, expected):
  source = open_source(spec, camvid.request())
  assert ids_of(source) == expected
  for i, name in enumerate(expected):
    assert source[i]['sequence'] == name.split('_')[0]


@pytest.mark.parametrize('split', ['train', 'val', 'test'])
def test_pixels_are_those_of_the_files(camvid, split):
  source = open_source(f'camvid:{split}', camvid.request())
  for i in range(len(source)):
    scene = source[i]
    image, label = original(camvid, split, scene['id'])
    np.testing.assert_array_equal(scene['image'], image)
    np.testing.assert_array_equal(scene['label'], label)
    assert scene['image'].dtype == scene['label'].dtype == np.uint8
    assert 'depth' not in scene


def test_scenes_beyond_the_end(camvid):
  source = open_source('camvid:val', camvid.request())
  for index in (2, -1):
    with pytest.raises(IndexError, match=str(index)):
      source[index]


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('camvid/Seq99', r"'Seq99'.*0001TP, 0006R0, 0016E5, Seq05VD"),
    ('camvid/0006R0:val', r"'0006R0' is not in val.*0016E5"),
    ('camvid:validation', r"no split 'validation'.*train, val, test"),
    ('camvif:val', r"'camvif'.*camvid, cityscapes.*streets"),
    ('camvid val', "unknown data set 'camvid val'"),
    ('', "unknown data set ''"),
    ('camvid:', r"'camvid:' cannot be read; write camvid\[/SEQ"),
    ('camvid:val:1', r"'camvid:val:1' cannot be read; write camvid\[/SEQ"),
  ],
)
def test_unknown_names_list_those_which_exist(camvid, spec, message):
  with pytest.raises(UserError, match=message):
    open_source(spec, camvid.request())
  assert not camvid.cache.exists()


@pytest.mark.parametrize('spec', ['camvid:train', 'camvid/0006R0'])
def test_missing_root_is_named_before_anything_is_written(camvid, spec):
  nowhere = str(camvid.root / 'nowhere')
  with pytest.raises(UserError, match=r'nowhere.*data\.root.*trainannot'):
    open_source(spec, camvid.request(root=nowhere))
  with pytest.raises(UserError, match=r'data\.root is not set.*trainannot'):
    open_source(spec, camvid.request(root=''))
  assert not camvid.cache.exists()


def test_missing_annotation_folder_is_named(camvid):
  for path in (camvid.root / 'valannot').iterdir():
    path.unlink()
  (camvid.root / 'valannot').rmdir()
  with pytest.raises(UserError, match=r'valannot: no such folder.*data\.root'):
    open_source('camvid:val', camvid.request())


def test_empty_split(camvid):
  for folder in ('val', 'valannot'):
    for path in (camvid.root / folder).iterdir():
      path.unlink()
  with pytest.raises(UserError, match=r"split 'val' has no image"):
    open_source('camvid:val', camvid.request())


def test_depth_is_refused(camvid):
  with pytest.raises(UserError, match='camvid has no depth'):
    open_source('camvid:val', camvid.request(depth=True))


def test_two_images_of_one_frame_are_refused(camvid):
  camvid.save('val/0016E5_07959.png', np.zeros((24, 32, 3), np.uint8))
  with pytest.raises(UserError, match=r'0016E5_07959.*remove one'):
    open_source('camvid:val', camvid.request())


def test_odd_file_names_are_refused_and_hidden_files_ignored(camvid):
  camvid.save('val/.0016E5_1.png', np.zeros((24, 32, 3), np.uint8))
  (camvid.root / 'val' / 'readme.txt').write_text('hello')
  assert len(open_source('camvid:val', camvid.request())) == 2
  camvid.save('val/my photo_1.png', np.zeros((24, 32, 3), np.uint8))
  with pytest.raises(UserError, match=r"my photo_1\.png.*'my photo'"):
    open_source('camvid:val', camvid.request())


def _truncate(path):
  path.write_bytes(path.read_bytes()[:60])


def _grow(path):
  Image.fromarray(np.zeros((30, 32), np.uint8)).save(path)


def _twelve(path):
  Image.fromarray(np.full((24, 32), 12, np.uint8)).save(path)


def _grey(path):
  Image.fromarray(np.zeros((24, 32), np.uint8)).save(path)


# Both damaged files lie in the same sequence as an intact one.
DAMAGES = {
  'truncated image': ('train/0001TP_006720.png', _truncate, 'decoded'),
  'truncated label': ('trainannot/0001TP_006720.png', _truncate, 'decoded'),
  'grey image': ('train/0001TP_006720.png', _grey, 'mode is L'),
  'size of label': ('trainannot/0001TP_006720.png', _grow, '30x32'),
  'id out of range': ('trainannot/0001TP_006720.png', _twelve, 'label id 12'),
  'no image': ('train/0001TP_006720.png', lambda p: p.unlink(), 'missing'),
  'no label': ('trainannot/0001TP_006720.png', lambda p: p.unlink(), 'missing'),
}


@pytest.mark.parametrize('damage', DAMAGES)
def test_damaged_file_stops_or_is_skipped_and_listed(camvid, damage):
  name, change, message = DAMAGES[damage]
  change(camvid.root / name)
  request = camvid.request()
  with pytest.raises(UserError, match=rf'{name}: .*{message}.*on_error=skip'):
    open_source('camvid:train', request)
  assert not list(camvid.cache.rglob('*.array_record*'))

  source = open_source('camvid:train', camvid.request(on_error='skip'))
  assert ids_of(source) == ['0001TP_006690', '0006R0_f00930', '0016E5_00390']
  (skipped,) = skipped_files(source)
  assert skipped['id'] == '0001TP_006720'
  assert skipped['reason'].startswith(str(camvid.root / name))
  assert message in skipped['reason']
  # The list belongs to the copy: it is there when the copy is opened again.
  again = open_source('camvid:train', camvid.request(on_error='skip'))
  assert skipped_files(again) == [skipped]
  # A later request to stop is not served from the copy with a hole.
  with pytest.raises(UserError, match=message):
    open_source('camvid:train', request)


def test_nothing_skipped_is_an_empty_list(camvid):
  source = open_source('camvid/0016E5', camvid.request(on_error='skip'))
  assert skipped_files(source) == []


def test_a_split_with_no_intact_frame_is_an_error(camvid):
  for path in (camvid.root / 'val').iterdir():
    _truncate(path)
  with pytest.raises(UserError, match=r'none of the 2 scenes.*decoded'):
    open_source('camvid:val', camvid.request(on_error='skip'))
  assert not list(camvid.cache.rglob('*.array_record*'))


@pytest.mark.parametrize(
  ('spec', 'expected'),
  [
    ('camvid:train', ['0001TP_006690', '0006R0_f00930']),
    ('camvid/0001TP:train', ['0001TP_006690', '0001TP_006720']),
    ('camvid/0016E5', ['0016E5_00390', '0016E5_07959', '0016E5_07961']),
  ],
)
def test_num_examples_are_evenly_spaced(camvid, spec, expected):
  source = open_source(spec, camvid.request(num_examples={'train': 2}))
  assert ids_of(source) == expected


@pytest.mark.parametrize('key', ['val', 'validation'])
def test_num_examples_of_val_under_both_names(camvid, key):
  source = open_source('camvid:val', camvid.request(num_examples={key: 1}))
  assert ids_of(source) == ['0016E5_07959']


def test_one_copy_serves_all_sequences(camvid, monkeypatch):
  open_source('camvid:train', camvid.request())

  def fail(*args):
    raise AssertionError('read again')

  monkeypatch.setattr(readers, 'read_scene', fail)
  assert len(open_source('camvid/0006R0:train', camvid.request())) == 1
