import json

import numpy as np
import pytest
from PIL import Image

from common_lib import class_table
from common_lib.errors import UserError
from input_pipeline.datasets import readers


@pytest.fixture
def pair(tmp_path):
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (24, 32, 3), np.uint8)
  ids = rng.integers(0, 12, (24, 32), np.uint8)
  Image.fromarray(image).save(tmp_path / 'image.png')
  Image.fromarray(ids).save(tmp_path / 'label.png')
  return tmp_path / 'image.png', tmp_path / 'label.png', image, ids


def read(image_path, label_path, size=(24, 32)):
  return readers.read_scene(image_path, label_path, size, class_table.CAMVID)


def test_same_size_is_unchanged(pair):
  image_path, label_path, image, ids = pair
  read_image, read_label = read(image_path, label_path)
  np.testing.assert_array_equal(read_image, image)
  np.testing.assert_array_equal(read_label, class_table.CAMVID[ids])


def test_resizing_samples_label_centres_and_filters_images(pair):
  image_path, label_path, image, ids = pair
  read_image, read_label = read(image_path, label_path, (8, 16))
  rows = np.floor((np.arange(8) + 0.5) * 24 / 8).astype(int)
  columns = np.floor((np.arange(16) + 0.5) * 32 / 16).astype(int)
  np.testing.assert_array_equal(
    read_label, class_table.CAMVID[ids[np.ix_(rows, columns)]]
  )
  expected = Image.fromarray(image).resize((16, 8), Image.BICUBIC)
  np.testing.assert_array_equal(read_image, np.asarray(expected))


def test_palette_index_counts_not_the_colour(pair):
  image_path, label_path, _, ids = pair
  palette = Image.fromarray(ids)
  palette.putpalette([200 - i // 3 for i in range(36)])
  palette.save(label_path)
  with Image.open(label_path) as saved:
    assert saved.mode == 'P'
  np.testing.assert_array_equal(
    read(image_path, label_path)[1], class_table.CAMVID[ids]
  )


def test_an_id_that_resizing_would_drop_is_still_refused(pair):
  image_path, label_path, _, ids = pair
  ids[0, 0] = 12
  Image.fromarray(ids).save(label_path)
  with pytest.raises(UserError, match=r'label\.png: label id 12'):
    read(image_path, label_path, (2, 2))


def _truncate(path):
  data = path.read_bytes()
  path.write_bytes(data[: len(data) * 2 // 3])


def _corrupt(path):
  data = bytearray(path.read_bytes())
  data[len(data) // 2] ^= 0xFF
  path.write_bytes(bytes(data))


@pytest.mark.parametrize('which', ['image', 'label'])
@pytest.mark.parametrize(
  ('damage', 'message'),
  [
    (_truncate, 'cannot be decoded'),
    (_corrupt, 'cannot be decoded'),
    (lambda path: path.write_bytes(b''), 'cannot be decoded'),
    (lambda path: path.write_text('not an image'), 'cannot be decoded'),
    (lambda path: path.unlink(), 'file is missing'),
  ],
  ids=['truncated', 'corrupt', 'empty', 'text', 'missing'],
)
def test_damaged_png_is_named(pair, which, damage, message):
  image_path, label_path = pair[:2]
  damage(image_path if which == 'image' else label_path)
  with pytest.raises(UserError, match=rf'{which}\.png: {message}.*restore'):
    read(image_path, label_path)


def test_truncated_jpeg_is_named(pair):
  image_path, label_path, image, _ = pair
  jpeg = image_path.with_suffix('.jpg')
  Image.fromarray(image).save(jpeg)
  _truncate(jpeg)
  with pytest.raises(UserError, match=r'image\.jpg: cannot be decoded'):
    read(jpeg, label_path)


@pytest.mark.parametrize('mode', ['L', 'RGBA', 'P', 'CMYK'])
def test_images_of_other_modes_are_refused(pair, tmp_path, mode):
  label_path, image = pair[1:3]
  path = tmp_path / ('odd.jpg' if mode == 'CMYK' else 'odd.png')
  Image.fromarray(image).convert(mode).save(path)
  with pytest.raises(UserError, match=rf'odd\.\w+: mode is {mode}'):
    read(path, label_path)


def test_coloured_label_is_refused(pair):
  image_path, label_path, image, _ = pair
  Image.fromarray(image).save(label_path)
  with pytest.raises(UserError, match=r'label\.png: mode is RGB.*coloured'):
    read(image_path, label_path)


def test_label_of_another_size_is_refused(pair):
  image_path, label_path, _, ids = pair
  Image.fromarray(ids[:, :-1]).save(label_path)
  with pytest.raises(UserError, match=r'label\.png: label is 24x31.*24x32'):
    read(image_path, label_path)


def test_depth_by_hand(tmp_path):
  stored = np.array([[0, 1, 257], [6401, 129, 65535]], np.uint16)
  Image.fromarray(stored).save(tmp_path / 'd.png')
  (tmp_path / 'c.json').write_text(
    json.dumps({'extrinsic': {'baseline': 0.2}, 'intrinsic': {'fx': 2000}})
  )
  depth = readers.read_disparity_depth(
    tmp_path / 'd.png', tmp_path / 'c.json', (2, 3)
  )
  expected = [
    [np.nan, np.nan, 400 / 1.0],
    [400 / 25.0, 400 / 0.5, 400 / (65534 / 256)],
  ]
  assert depth.dtype == np.float32
  np.testing.assert_allclose(depth, expected, rtol=1e-6)


@pytest.mark.parametrize(
  'content', ['{}', 'x', '{"extrinsic": {"baseline": "far"}}', '[]']
)
def test_damaged_camera_is_named(tmp_path, content):
  Image.fromarray(np.ones((2, 2), np.uint16)).save(tmp_path / 'd.png')
  (tmp_path / 'c.json').write_text(content)
  with pytest.raises(UserError, match=r'c\.json: not a Cityscapes camera'):
    readers.read_disparity_depth(
      tmp_path / 'd.png', tmp_path / 'c.json', (2, 2)
    )


def test_eight_bit_disparity_is_refused(tmp_path):
  Image.fromarray(np.ones((2, 2), np.uint8)).save(tmp_path / 'd.png')
  with pytest.raises(UserError, match=r'd\.png: mode is L, expected 16 bits'):
    readers.read_disparity_depth(
      tmp_path / 'd.png', tmp_path / 'c.json', (2, 2)
    )
