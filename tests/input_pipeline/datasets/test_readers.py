import json

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from common_lib.errors import UserError
from input_pipeline import resizing
from input_pipeline.datasets import camvid, readers
from tests.input_pipeline.files.test_images import png_of_few_bits


@pytest.fixture
def pair(tmp_path):
  rng = np.random.default_rng(0)
  image = rng.integers(0, 256, (24, 32, 3), np.uint8)
  ids = rng.integers(0, 12, (24, 32), np.uint8)
  Image.fromarray(image).save(tmp_path / 'image.png')
  Image.fromarray(ids).save(tmp_path / 'label.png')
  return tmp_path / 'image.png', tmp_path / 'label.png', image, ids


def read(image_path, label_path, size=(24, 32)):
  return readers.read_scene(image_path, label_path, size, camvid.TABLE)


def test_same_size_is_unchanged(pair):
  image_path, label_path, image, ids = pair
  read_image, read_label = read(image_path, label_path)
  np.testing.assert_array_equal(read_image, image)
  np.testing.assert_array_equal(read_label, camvid.TABLE[ids])


def test_resizing_samples_label_centres_and_filters_images(pair):
  image_path, label_path, image, ids = pair
  read_image, read_label = read(image_path, label_path, (8, 16))
  rows = np.floor((np.arange(8) + 0.5) * 24 / 8).astype(int)
  columns = np.floor((np.arange(16) + 0.5) * 32 / 16).astype(int)
  np.testing.assert_array_equal(
    read_label, camvid.TABLE[ids[np.ix_(rows, columns)]]
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
    read(image_path, label_path)[1], camvid.TABLE[ids]
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


CAMERAS = {
  'no JSON': ('x', 'cannot be read'),
  'a list': ('[]', 'no JSON object'),
  'nested': ('[' * 100_000, 'nested too deep'),
  'digits': ('{"extrinsic": ' + '9' * 5000 + '}', 'cannot be read'),
  'empty': ('{}', 'extrinsic.baseline is None'),
  'no group': ('{"extrinsic": 7}', 'extrinsic.baseline is None'),
  'text': ('{"extrinsic": {"baseline": "far"}}', 'baseline is far'),
  'bool': ('{"extrinsic": {"baseline": true}}', 'baseline is True'),
  'list': ('{"extrinsic": {"baseline": [1]}}', r'baseline is \[1\]'),
  'zero': ('{"extrinsic": {"baseline": 0}}', 'baseline is 0'),
  'NaN': ('{"extrinsic": {"baseline": NaN}}', 'baseline is nan'),
  'infinite': ('{"extrinsic": {"baseline": Infinity}}', 'baseline is inf'),
  'huge': ('{"extrinsic": {"baseline": 1' + '0' * 400 + '}}', 'baseline is 10'),
  'one': ('{"extrinsic": {"baseline": 1}}', 'intrinsic.fx is None'),
}


@pytest.mark.parametrize('damage', CAMERAS)
def test_damaged_camera_is_named(tmp_path, damage):
  content, message = CAMERAS[damage]
  Image.fromarray(np.ones((2, 2), np.uint16)).save(tmp_path / 'd.png')
  (tmp_path / 'c.json').write_text(content)
  with pytest.raises(UserError, match=rf'c\.json.*{message}') as error:
    readers.read_disparity_depth(
      tmp_path / 'd.png', tmp_path / 'c.json', (2, 2)
    )
  assert 'Cityscapes camera file' in str(error.value)
  assert len(str(error.value)) < 600


def test_eight_bit_disparity_is_refused(tmp_path):
  Image.fromarray(np.ones((2, 2), np.uint8)).save(tmp_path / 'd.png')
  with pytest.raises(UserError, match=r'd\.png: mode is L, expected 16 bits'):
    readers.read_disparity_depth(
      tmp_path / 'd.png', tmp_path / 'c.json', (2, 2)
    )


ORIENTATION = 0x0112


def turned_scene(tmp_path, orientation, kind='png', size=(24, 32)):
  """An image that EXIF turns, and the upright one, by Pillow's own function."""
  rng = np.random.default_rng(orientation)
  stored = rng.integers(0, 256, (*size, 3), np.uint8)
  exif = Image.Exif()
  exif[ORIENTATION] = orientation
  path = tmp_path / f'image.{kind}'
  Image.fromarray(stored).save(path, exif=exif)
  with Image.open(path) as image:
    return path, np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.parametrize('kind', ['png', 'jpg'])
@pytest.mark.parametrize('orientation', [5, 6, 7, 8])
def test_an_image_is_turned_as_its_label(tmp_path, orientation, kind):
  path, upright = turned_scene(tmp_path, orientation, kind)
  assert upright.shape == (32, 24, 3)
  ids = np.random.default_rng(0).integers(0, 12, (32, 24), np.uint8)
  Image.fromarray(ids).save(tmp_path / 'label.png')
  image, label = read(path, tmp_path / 'label.png', (32, 24))
  np.testing.assert_array_equal(image, upright)
  np.testing.assert_array_equal(label, camvid.TABLE[ids])


@pytest.mark.parametrize(
  ('orientation', 'size', 'label_size'),
  [
    (2, (24, 32), (24, 32)),
    (3, (24, 32), (24, 32)),
    (4, (24, 32), (24, 32)),
    (6, (24, 32), (24, 32)),  # drawn on the stored pixels?
    (8, (24, 24), (24, 24)),  # a square shows nothing
    (3, (24, 32), (32, 24)),
    (6, (24, 32), (30, 24)),
    (0, (24, 32), (24, 32)),
    (9, (24, 32), (24, 32)),
  ],
)
def test_other_orientations_are_refused(
  tmp_path, orientation, size, label_size
):
  path, _ = turned_scene(tmp_path, orientation, size=size)
  Image.fromarray(np.zeros(label_size, np.uint8)).save(tmp_path / 'label.png')
  with pytest.raises(
    UserError, match=rf'image\.png: its EXIF orientation is {orientation},'
  ):
    read(path, tmp_path / 'label.png')


def test_a_turned_label_is_refused(pair):
  image_path, label_path, _, ids = pair
  exif = Image.Exif()
  exif[ORIENTATION] = 3
  Image.fromarray(ids).save(label_path, exif=exif)
  with pytest.raises(UserError, match=r'label\.png: its EXIF orientation is 3'):
    read(image_path, label_path)


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_images_of_sixteen_bits_are_refused(pair, channels):
  image_path, label_path = pair[:2]
  values = np.full((24, 32, channels), 258, np.uint16)
  cv2.imwrite(str(image_path), values)
  with pytest.raises(UserError, match=r'image\.png: has 16 bits per channel'):
    read(image_path, label_path)


def test_a_label_of_sixteen_bits_keeps_its_ids(pair):
  image_path, label_path, _, ids = pair
  Image.fromarray(ids.astype(np.uint16)).save(label_path)
  label = read(image_path, label_path)[1]
  np.testing.assert_array_equal(label, camvid.TABLE[ids])
  # 256 + 3 is not cut to 3.
  Image.fromarray(ids.astype(np.uint16) + 256).save(label_path)
  with pytest.raises(UserError, match='label id 256'):
    read(image_path, label_path)


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_a_label_of_few_bits_of_grey_is_refused(pair, bits):
  # Pillow would make id 1 of 2 bits 85.
  image_path, label_path = pair[:2]
  label_path.write_bytes(png_of_few_bits(bits, 0, 32, 24))
  with pytest.raises(UserError, match=rf'label\.png: has {bits} bits of grey'):
    read(image_path, label_path)


@pytest.mark.parametrize('bits', [1, 2, 4])
def test_a_palette_of_few_bits_is_read(pair, bits):
  image_path, label_path = pair[:2]
  label_path.write_bytes(png_of_few_bits(bits, 3, 32, 24))
  assert (read(image_path, label_path)[1] == camvid.TABLE[0]).all()


def test_a_label_is_png(pair):
  image_path, label_path, _, ids = pair
  Image.fromarray(ids).save(label_path, 'JPEG')
  with pytest.raises(UserError, match=r'label\.png.*JPEG, expected PNG'):
    read(image_path, label_path)


def test_letterbox_pads_with_void(pair):
  image_path, label_path, image, ids = pair  # 24 x 32
  found, label = readers.read_scene(
    image_path, label_path, (24, 64), camvid.TABLE, 'letterbox'
  )
  np.testing.assert_array_equal(found[:, 16:48], image)
  np.testing.assert_array_equal(label[:, 16:48], camvid.TABLE[ids])
  assert (label[:, :16] == 255).all() and (label[:, 48:] == 255).all()
  assert (found[:, :16] == resizing.FILL).all()
  assert (found[:, 48:] == resizing.FILL).all()


def test_letterboxed_depth_is_unknown_in_the_bars(tmp_path):
  Image.fromarray(np.full((2, 2), 257, np.uint16)).save(tmp_path / 'd.png')
  (tmp_path / 'c.json').write_text(
    '{"extrinsic": {"baseline": 2}, "intrinsic": {"fx": 3}}'
  )
  depth = readers.read_disparity_depth(
    tmp_path / 'd.png', tmp_path / 'c.json', (4, 2), 'letterbox'
  )
  assert np.isnan(depth[[0, 3]]).all()
  np.testing.assert_allclose(depth[1:3], 6)
