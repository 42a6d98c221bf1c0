import dataclasses

import numpy as np
import pytest
from PIL import Image

from common_lib.class_table import CITYSCAPES
from common_lib.errors import UserError
from input_pipeline import notes
from input_pipeline.datasets import skipped_files
from input_pipeline.datasets.folder import pixels
from tests.input_pipeline.conftest import SIZE, random_image
from tests.input_pipeline.datasets.folder.own_images import TABLE, ids_of

# Class of each pixel of a label; 255 = void.
EXPECTED = np.random.default_rng(0).choice(
  np.array([0, 1, 2, 255], np.uint8), SIZE
)
COLORS = np.zeros((256, 3), np.uint8)
COLORS[:3] = TABLE.colors


def as_ids(of_class, dtype):
  ids = np.zeros(256, dtype)
  ids[list(of_class)] = list(of_class.values())
  return ids[EXPECTED]


def _8_bits(path):
  ids = as_ids({0: 1, 1: 7, 2: 1, 255: 255}, np.uint8)
  Image.fromarray(ids).save(path)


def _16_bits(path):
  Image.fromarray(as_ids({0: 1, 1: 300, 2: 65535, 255: 0}, np.uint16)).save(
    path
  )


def _palette(path):
  image = Image.fromarray(as_ids({0: 1, 1: 7, 2: 1, 255: 0}, np.uint8))
  image.putpalette([3, 2, 1] * 256)  # colours that say nothing
  image.save(path)


def _colors(path):
  Image.fromarray(COLORS[EXPECTED]).save(path)


def _opaque_colors(path):
  Image.fromarray(COLORS[EXPECTED]).convert('RGBA').save(path)


def _without_sky():
  return np.where(EXPECTED == 2, 0, EXPECTED)


@pytest.mark.parametrize(
  ('write', 'mode', 'expected'),
  [
    (_8_bits, 'L', _without_sky()),
    (_16_bits, 'I;16', EXPECTED),
    (_palette, 'P', _without_sky()),
    (_colors, 'RGB', EXPECTED),
    (_opaque_colors, 'RGBA', EXPECTED),
  ],
)
def test_each_kind_of_label(tmp_path, write, mode, expected):
  path = tmp_path / 'label.png'
  write(path)
  with Image.open(path) as saved:
    assert saved.mode == mode
  label = pixels.read_label(path, TABLE)
  assert label.dtype == np.uint8
  np.testing.assert_array_equal(label, expected)


def test_black_is_void_unless_it_is_a_class(tmp_path):
  path = tmp_path / 'label.png'
  Image.fromarray(np.zeros((2, 2, 3), np.uint8)).save(path)
  assert (pixels.read_label(path, TABLE) == 255).all()
  black = dataclasses.replace(TABLE, colors=((1, 1, 1), (0, 0, 0), (2, 2, 2)))
  assert (pixels.read_label(path, black) == 1).all()


def test_unknown_ids_are_named_with_their_counts(own):
  own.image('test/a.png')
  ids = np.ones(SIZE, np.uint16)
  ids[0, :5] = 9
  ids[1, 0] = 40000
  own.save('labels/test/a.png', ids)
  message = (
    r'labels/test/a\.png: the class table has no id 9 \(5 pixels\), 40000'
    r' \(1 pixel\); in classes\.json give it to a class or to void_ids'
  )
  with pytest.raises(UserError, match=message):
    own.open()
  # Also where resizing would have dropped them.
  with pytest.raises(UserError, match=message):
    own.open(image_size=(2, 2))


def test_five_unknown_values_are_named_and_the_rest_counted(tmp_path):
  path = tmp_path / 'label.png'
  Image.fromarray(np.arange(2, 9, dtype=np.uint8)[None]).save(path)
  # 7 is known.
  with pytest.raises(UserError, match=r'2 \(1 .*6 \(1 pixel\) and 1 more;'):
    pixels.read_label(path, TABLE)


def test_unknown_colours_are_named_with_their_counts(tmp_path):
  path = tmp_path / 'label.png'
  colors = np.zeros((4, 4, 3), np.uint8)
  colors[0] = 1, 2, 3
  colors[1, 0] = 255, 0, 16
  Image.fromarray(colors).save(path)
  with pytest.raises(UserError) as error:
    pixels.read_label(path, TABLE)
  assert str(error.value) == (
    f'{path}: the class table has no colour (1, 2, 3) (4 pixels), (255, 0, 16)'
    ' (1 pixel); in classes.json give it to a class, or correct the file'
  )


def _of_one_bit(path):
  Image.fromarray(np.ones((2, 2), bool)).save(path)


def _transparent(path):
  Image.fromarray(np.zeros((2, 2, 4), np.uint8)).save(path)


def _grey_and_alpha(path):
  Image.fromarray(np.zeros((2, 2), np.uint8)).convert('LA').save(path)


def _jpeg(path):
  Image.fromarray(np.zeros((2, 2), np.uint8)).save(path, format='JPEG')


def _turned(path):
  image = Image.fromarray(np.zeros((2, 2), np.uint8))
  exif = Image.Exif()
  exif[0x0112] = 6
  image.save(path, exif=exif)


@pytest.mark.parametrize(
  ('write', 'message'),
  [
    (_of_one_bit, 'has 1 bits of grey'),
    (_transparent, 'has transparent pixels'),
    (_grey_and_alpha, 'mode is LA, expected one channel of ids or RGB'),
    (_jpeg, 'it is JPEG, expected PNG'),
    (_turned, 'its EXIF orientation is 6, which a label cannot have'),
    (lambda path: path.write_bytes(b''), 'it is empty'),
    (lambda path: None, 'file is missing'),
  ],
)
def test_labels_that_are_refused(tmp_path, write, message):
  path = tmp_path / 'label.png'
  write(path)
  with pytest.raises(UserError, match=rf'label\.png: .*{message}'):
    pixels.read_label(path, TABLE)


def test_label_of_another_size(own):
  own.image('test/a.png')
  own.save('labels/test/a.png', np.ones((24, 31), np.uint8))
  with pytest.raises(UserError, match=r'a\.png: label is 24x31, its image is '):
    own.open()


def test_a_damaged_label_can_be_skipped(own):
  own.both('test/a', 'test/b')
  own.label('test/a.png', value=9)
  source = own.open(on_error='skip')
  assert ids_of(source) == ['b']
  (skipped,) = skipped_files(source)
  assert skipped['id'] == 'a' and 'no id 9' in skipped['reason']


@pytest.mark.parametrize('mode', ['L', 'P', 'RGBA', 'LA'])
def test_what_images_may_be_besides_rgb(tmp_path, mode):
  path = tmp_path / 'image.png'
  image = Image.fromarray(random_image(0)).convert(mode)
  image.save(path)
  expected = image.convert('RGB')
  read = pixels.read_image(path, None)
  np.testing.assert_array_equal(np.asarray(read), np.asarray(expected))
  if mode == 'L':
    grey = np.asarray(read)
    assert (grey == grey[..., :1]).all()


def _cmyk(path):
  Image.fromarray(random_image(0)).convert('CMYK').save(path, format='JPEG')


def _of_16_bits(path):
  Image.fromarray(np.zeros((2, 2), np.uint16)).save(path)


def _seen_through(path):
  image = Image.fromarray(random_image(0)).convert('RGBA')
  image.putpixel((0, 0), (0, 0, 0, 254))
  image.save(path)


@pytest.mark.parametrize(
  ('write', 'message'),
  [
    (_cmyk, 'mode is CMYK; save it as RGB'),
    (_of_16_bits, 'has 16 bits per channel'),
    (_seen_through, 'has transparent pixels'),
    (_turned, 'its EXIF orientation is 6, and no label shows whether'),
    (lambda path: path.write_text('x'), 'cannot be decoded'),
  ],
)
def test_images_that_are_refused(tmp_path, write, message):
  path = tmp_path / 'image.png'
  write(path)
  with pytest.raises(UserError, match=rf'image\.png: .*{message}'):
    pixels.read_image(path, None)


def test_the_label_shows_how_a_turned_image_is_seen(own):
  exif = Image.Exif()
  exif[0x0112] = 6  # to be turned clockwise
  own.save('images/test/a.png', random_image(0), exif=exif)
  own.save('labels/test/a.png', np.ones((32, 24), np.uint8))
  source = own.open(image_size=(32, 24))
  np.testing.assert_array_equal(
    source[0]['image'], np.rot90(random_image(0), -1)
  )


@pytest.mark.parametrize(
  ('values', 'noted'),
  [
    ([[0, 2, 8], [0, 1, 13], [0, 10, 5]], True),
    ([[7, 8, 11], [7, 23, 21], [0, 26, 3]], False),  # ids of streets
    ([[7, 8, 11], [0, 7, 17], [1, 11, 13]], False),  # few, by chance
  ],
)
def test_indices_in_place_of_ids_are_noticed(own, capsys, values, noted):
  notes.once.cache_clear()
  for index, row in enumerate(values):
    own.image(f'test/{index}.png', index)
    own.save(f'labels/test/{index}.png', np.resize(np.uint8(row), SIZE))
  own.open(classes=CITYSCAPES)
  assert ('class indices (trainIds)' in capsys.readouterr().err) == noted
  # A table of one's own says what its ids are.
  notes.once.cache_clear()
  ids = tuple((index,) for index in range(19))
  table = dataclasses.replace(CITYSCAPES, ids=ids, void_ids=(255,))
  if noted:
    own.open(classes=table)
    assert 'trainIds' not in capsys.readouterr().err
