"""Which images there are, what theirs outputs are called, and how they read."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from fsnet_jax.monitor.predict import inputs
from tests.fsnet_jax.monitor.predict import stub


def _names(found):
  return [item.image for item in found.items]


def _files(source, output=None):
  return inputs.files_of(
    pathlib.Path(source), output or pathlib.Path('/nowhere'), str(source)
  )


@pytest.fixture
def root(tmp_path):
  rng = np.random.default_rng(0)
  for name in ('b.png', 'a/1.jpg', 'a/c/2.JPEG', '.hidden.png', '.d/3.png'):
    stub.save(tmp_path / name, stub.picture(rng))
  (tmp_path / 'notes.txt').write_text('no image')
  (tmp_path / 'scan.tiff').write_bytes(b'II*\0')
  return tmp_path


def test_a_folder_is_searched_to_its_ends(root):
  found = _files(root)
  assert _names(found) == ['a/1.jpg', 'a/c/2.JPEG', 'b.png', 'scan.tiff']
  assert [item.name for item in found.items] == ['a/1', 'a/c/2', 'b', 'scan']
  assert [item.group for item in found.items] == ['a', 'a/c', '', '']
  assert found.total == 4 and found.base == root


def test_what_was_written_is_not_read(root):
  assert _names(_files(root, root / 'a')) == ['b.png', 'scan.tiff']


def test_a_glob_is_named_from_its_first_wildcard(root):
  assert _names(_files(root / 'a' / '**' / '*.jp*g')) == ['1.jpg']
  assert _names(_files(root / '*' / '*.jpg')) == ['a/1.jpg']
  assert _names(_files(root / '**' / '*.png')) == ['b.png']
  assert _names(_files(root / 'a' / '1.jpg')) == ['1.jpg']


def test_a_name_with_a_bracket_is_no_glob(tmp_path):
  stub.save(tmp_path / 'x[1].png', stub.picture(np.random.default_rng(0)))
  assert _names(_files(tmp_path / 'x[1].png')) == ['x[1].png']


@pytest.mark.parametrize(
  ('name', 'said'),
  [
    ('missing', 'does not exist: give a folder'),
    ('*.bmp', 'matches no file'),
    ('empty', 'holds no PNG or JPEG'),
  ],
)
def test_no_images(root, name, said):
  (root / 'empty').mkdir()
  with pytest.raises(UserError, match=said):
    _files(root / name)


def test_a_video_is_none_of_them(root):
  (root / 'drive.MP4').write_bytes(b'')
  assert _files(root / 'drive.MP4') is None


@pytest.mark.parametrize(
  ('paths', 'names'),
  [
    (['a.jpg', 'b.png'], ['a', 'b']),
    (['a.jpg', 'a.png', 'b.png'], ['a.jpg', 'a.png', 'b']),
    (['A.png', 'a.png'], ['A.png', 'a.png~2']),
    # One that is alone keeps its stem, which another would have liked.
    (['a.jpg', 'a.jpg.png', 'a.png'], ['a.jpg~2', 'a.jpg', 'a.png']),
    (['d/a.png', 'e/a.png'], ['d/a', 'e/a']),
    (['v1.0.png', 'v1.1.png'], ['v1.0', 'v1.1']),
  ],
)
def test_outputs_never_share_a_name(paths, names):
  assert inputs.output_names(paths) == names


def test_names_stay_apart_whatever_the_files_are():
  rng = np.random.default_rng(1)
  for _ in range(200):
    parts = rng.choice(['a', 'A', 'a.jpg', 'a.png~2'], 6)
    kinds = rng.choice(['.png', '.jpg', '.PNG'], 6)
    paths = sorted({p + k for p, k in zip(parts, kinds)})
    names = inputs.output_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)


@pytest.mark.parametrize('mode', ['RGB', 'L', 'P', 'RGBA', 'LA', '1'])
def test_images_of_all_modes_are_rgb(tmp_path, mode):
  image = Image.fromarray(stub.picture(np.random.default_rng(0)))
  image.convert(mode).save(tmp_path / 'x.png')
  found = inputs.read_image(tmp_path / 'x.png')
  assert found.shape == (24, 40, 3) and found.dtype == np.uint8
  if mode == 'RGB':
    np.testing.assert_array_equal(found, np.asarray(image))
  if mode == 'L':
    np.testing.assert_array_equal(found[..., 2], np.asarray(image.convert('L')))


def test_a_photo_is_turned_upright(tmp_path):
  image = Image.fromarray(stub.picture(np.random.default_rng(0)))
  exif = Image.Exif()
  exif[0x0112] = 6
  image.save(tmp_path / 'x.png', exif=exif)
  np.testing.assert_array_equal(
    inputs.read_image(tmp_path / 'x.png'), np.rot90(np.asarray(image), -1)
  )


@pytest.mark.parametrize(
  ('content', 'said'),
  [
    (b'', 'it is empty'),
    (b'junk', 'neither PNG nor JPEG'),
    (b'\x89PNG\r\n\x1a\n' + b'\0' * 50, 'header is damaged'),
    (None, 'is missing'),
  ],
)
def test_a_damaged_file_is_one_short_sentence(tmp_path, content, said):
  path = tmp_path / 'x.png'
  if content is not None:
    path.write_bytes(content)
  with pytest.raises(UserError, match=said) as raised:
    inputs.read_image(path)
  sentence = str(raised.value)
  assert sentence.startswith('The file ') and sentence.endswith('.')
  assert '@' not in sentence and str(tmp_path) not in sentence
  assert len(sentence) <= 200


def test_sixteen_bits_are_refused(tmp_path):
  Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / 'x.png')
  with pytest.raises(UserError, match='has 16 bits per channel, expected 8'):
    inputs.read_image(tmp_path / 'x.png')
