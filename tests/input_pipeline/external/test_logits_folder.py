"""Stored logits: which file, which layout, and what cannot be one."""

import json
import pickle

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline import external
from input_pipeline.external.resizing import resize
from tests.input_pipeline.external.tables import noise, scores, table

_LOGITS = scores(8, 12, 5)


def _opened(folder, classes=5):
  return external.open_network('logits', str(folder), table(classes))


def _save(path, array=_LOGITS, **options):
  path.parent.mkdir(parents=True, exist_ok=True)
  if path.suffix == '.npz':
    np.savez_compressed(path, **(options or {'logits': array}))
  else:
    np.save(path, array)


@pytest.mark.parametrize('name', ['a.npy', 'a.npz', 'x/y/a.npy', 'a.png.npy'])
@pytest.mark.parametrize('turned', [False, True])
@pytest.mark.parametrize('kind', [np.float16, np.float32, np.float64])
def test_files_in_all_their_forms(tmp_path, name, turned, kind):
  logits = _LOGITS.astype(kind)
  _save(tmp_path / name, logits.transpose(2, 0, 1) if turned else logits)
  found = _opened(tmp_path).of_image('a', (8, 12))
  assert found.dtype == np.float32
  np.testing.assert_array_equal(found, logits.astype(np.float32))


def test_an_archive_with_more_in_it(tmp_path):
  _save(tmp_path / 'a.npz', logits=_LOGITS, image=noise(2, 2))
  _save(tmp_path / 'b.npz', scores=_LOGITS)
  _save(tmp_path / 'c.npz', scores=_LOGITS, other=_LOGITS)
  folder = _opened(tmp_path)
  for name in 'ab':
    np.testing.assert_array_equal(folder.of_image(name, (8, 12)), _LOGITS)
  with pytest.raises(UserError, match='2 arrays, none of which is called log'):
    folder.of_image('c', (8, 12))


def test_smaller_logits_are_resized_and_it_is_said_once(tmp_path):
  _save(tmp_path / 'a.npy')
  _save(tmp_path / 'b.npy')
  folder = _opened(tmp_path)
  for name in 'ab':
    found = folder.of_image(name, (16, 24))
  np.testing.assert_array_equal(found, resize(_LOGITS[None], (16, 24))[0])
  assert 'the logits are 8x12, the images 16x24' in folder.notes.lines[0]
  assert len(folder.notes.lines) == 1


def test_folders_may_be_mirrored(tmp_path):
  _save(tmp_path / 'x' / 'a.npy')
  _save(tmp_path / 'y' / 'a.npy', -_LOGITS)
  _save(tmp_path / 'y' / 'b.npy')
  folder = _opened(tmp_path)
  np.testing.assert_array_equal(folder.of_image('x/a', (8, 12)), _LOGITS)
  np.testing.assert_array_equal(folder.of_image('y/a', (8, 12)), -_LOGITS)
  np.testing.assert_array_equal(folder.of_image('z/b', (8, 12)), _LOGITS)
  with pytest.raises(UserError, match="both be of image 'a'; keep one, or"):
    folder.of_image('a', (8, 12))
  with pytest.raises(UserError, match="no logits of image 'c'; save them as c"):
    folder.of_image('c', (8, 12))


def test_the_same_name_with_both_suffixes(tmp_path):
  _save(tmp_path / 'a.npy')
  _save(tmp_path / 'a.npz')
  with pytest.raises(UserError, match='a.npy and a.npz can both be of image'):
    _opened(tmp_path).of_image('a', (8, 12))


def test_channels_of_the_description(tmp_path):
  _save(tmp_path / 'a.npy')
  with pytest.raises(UserError) as caught:
    _opened(tmp_path, 4).of_image('a', (8, 12))
  message = str(caught.value)
  assert 'have 5 channels, but the class table has 4 classes' in message
  assert f'{{"classes": [0, 1, ..., 3]}}}} to {tmp_path}/model.json' in message
  path = tmp_path / 'model.json'
  path.write_text(json.dumps({'outputs': {'classes': [4, 1, 2, 3]}}))
  found = _opened(tmp_path, 4).of_image('a', (8, 12))
  np.testing.assert_array_equal(found, _LOGITS[..., [4, 1, 2, 3]])
  path.write_text(json.dumps({'outputs': {'logits': 'x'}}))
  with pytest.raises(UserError, match='only outputs.classes and classes are'):
    _opened(tmp_path)


@pytest.mark.parametrize(
  ('array', 'message'),
  [
    (np.zeros((8, 12), np.uint8), 'is a class map; save the logits'),
    (np.zeros((8, 12, 5), np.uint8), 'is no logits; save the logits'),
    (np.zeros((1, 8, 12, 5), np.float32), 'is no logits; save the logits'),
    (np.zeros((8, 12, 9), np.float32), '9 channels, but the class table has 5'),
    (np.zeros((5, 12, 12), np.float32), 'another aspect ratio'),
    (np.full((8, 12, 5), np.nan, np.float32), 'hold NaN'),
  ],
)
def test_arrays_that_are_no_logits(tmp_path, array, message):
  np.save(tmp_path / 'a.npy', array)
  with pytest.raises(UserError, match=message) as caught:
    _opened(tmp_path).of_image('a', (8, 12))
  assert str(caught.value).startswith(str(tmp_path / 'a.npy'))


def test_damaged_files(tmp_path):
  for suffix in ('.npy', '.npz'):
    path = tmp_path / f'a{suffix}'
    _save(path)
    whole = path.read_bytes()
    folder = _opened(tmp_path)
    for content in (b'', whole[:50], whole[:-60], b'not an array' * 9):
      path.write_bytes(content)
      with pytest.raises(UserError, match='logits of an image, cannot be read'):
        folder.of_image('a', (8, 12))
    path.unlink()


def test_objects_are_not_unpickled(tmp_path):
  np.save(tmp_path / 'a.npy', np.array([{}], object), allow_pickle=True)
  with pytest.raises(UserError, match='cannot be read'):
    _opened(tmp_path).of_image('a', (8, 12))


def test_folders_that_hold_none(tmp_path):
  with pytest.raises(UserError, match='which is no folder; give the folder'):
    _opened(tmp_path / 'nowhere')
  with pytest.raises(UserError, match='there is no .npy or .npz file; save'):
    _opened(tmp_path)


def test_it_knows_no_other_image(tmp_path):
  _save(tmp_path / 'a.npy')
  folder = _opened(tmp_path)
  assert not folder.takes_any_image and folder.feature_channels == 0
  assert folder.feature_size((8, 12)) is None
  with pytest.raises(UserError, match='cannot be computed for another image'):
    folder(noise(1, 8, 12))


def test_the_fingerprint_is_of_names_and_contents(tmp_path):
  _save(tmp_path / 'one' / 'a.npy')
  _save(tmp_path / 'two' / 'a.npy')
  first = _opened(tmp_path / 'one').fingerprint()
  assert len(first) == 64
  assert _opened(tmp_path / 'two').fingerprint() == first
  _save(tmp_path / 'two' / 'a.npy', -_LOGITS)
  assert _opened(tmp_path / 'two').fingerprint() != first
  _save(tmp_path / 'one' / 'b.npy')
  assert _opened(tmp_path / 'one').fingerprint() != first


def test_workers_can_take_it_along(tmp_path):
  _save(tmp_path / 'a.npy')
  folder = pickle.loads(pickle.dumps(_opened(tmp_path)))
  np.testing.assert_array_equal(folder.of_image('a', (8, 12)), _LOGITS)
