"""PNG and JPEG are decoded, nothing else; depth and orientation are told."""

import ast
import os
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from input_pipeline.files import images
from tests.paths import ROOT

ORIENTATION = 0x0112


def read(path, *formats):
  return images.read(path, formats or ('PNG', 'JPEG'), fix='replace it')


@pytest.fixture
def pixels():
  return np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'PNG', 'txt'])
@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
def test_content_decides_not_the_name(tmp_path, pixels, kind, suffix):
  path = tmp_path / f'image.{suffix}'
  Image.fromarray(pixels).save(path, kind)
  file = read(path)
  assert (file.bits, file.orientation) == (8, 1)
  with Image.open(path) as expected:
    np.testing.assert_array_equal(file.image, expected)


@pytest.mark.parametrize(
  'kind', ['DDS', 'BMP', 'GIF', 'TIFF', 'WEBP', 'EPS', 'PPM', 'ICO', 'PCX']
)
def test_other_readers_are_out_of_reach(tmp_path, pixels, kind, monkeypatch):
  path = tmp_path / 'image.png'
  Image.init()
  Image.fromarray(pixels).save(path, kind)

  def reached(*args):
    raise AssertionError('a reader of another format was called')

  for name in Image.OPEN.keys() - {'PNG', 'JPEG'}:
    monkeypatch.setitem(Image.OPEN, name, (reached, reached))
  with pytest.raises(UserError, match=r'image\.png.*neither PNG nor JPEG'):
    read(path)
  assert images.header_size(path) is None


def test_a_jpeg_is_refused_where_png_is_asked_for(tmp_path, pixels):
  path = tmp_path / 'label.png'
  Image.fromarray(pixels).save(path, 'JPEG')
  with pytest.raises(UserError, match='it is JPEG, expected PNG'):
    read(path, 'PNG')


@pytest.mark.parametrize('channels', [1, 3, 4])
def test_sixteen_bits_of_a_png(tmp_path, channels):
  values = np.full((4, 5, channels), 1000, np.uint16)
  cv2.imwrite(str(tmp_path / 'deep.png'), values)
  assert read(tmp_path / 'deep.png').bits == 16


@pytest.mark.parametrize('bits', [1, 2, 4])
@pytest.mark.parametrize('color', [0, 3])
def test_fewer_bits_of_a_png(tmp_path, bits, color):
  path = tmp_path / 'flat.png'
  path.write_bytes(png_of_few_bits(bits, color))
  assert read(path).bits == bits


def png_of_few_bits(bits, color, width=8, height=2):
  """Zeros, at most ten rows; `color` 0 = grey, 3 = palette."""

  def chunk(name, content):
    check = zlib.crc32(name + content)
    return struct.pack('>I', len(content)) + name + content + check.to_bytes(4)

  header = struct.pack('>IIBBBBB', width, height, bits, color, 0, 0, 0)
  row = b'\0' * (1 + -(-width * bits // 8))
  palette = chunk(b'PLTE', bytes(6)) if color == 3 else b''
  return (
    b'\x89PNG\r\n\x1a\n'
    + chunk(b'IHDR', header)
    + palette
    + chunk(b'IDAT', zlib.compress(row * min(height, 10)))
    + chunk(b'IEND', b'')
  )


def test_twelve_bits_of_a_jpeg_are_named(tmp_path, pixels):
  path = tmp_path / 'deep.jpg'
  Image.fromarray(pixels).save(path)
  content = bytearray(path.read_bytes())
  frame = content.index(b'\xff\xc0')
  assert content[frame + 4] == 8
  content[frame + 4] = 12
  path.write_bytes(content)
  with pytest.raises(UserError, match=r'deep\.jpg.*12 bits per channel'):
    read(path)


@pytest.mark.parametrize('kind', ['PNG', 'JPEG'])
@pytest.mark.parametrize('orientation', [1, 2, 3, 6, 8, 0, 9])
def test_orientation_is_told(tmp_path, pixels, kind, orientation):
  exif = Image.Exif()
  exif[ORIENTATION] = orientation
  path = tmp_path / 'turned'
  Image.fromarray(pixels).save(path, kind, exif=exif)
  assert read(path).orientation == orientation


def test_orientation_in_xmp_is_told(tmp_path, pixels):
  path = tmp_path / 'turned.jpg'
  xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
  Image.fromarray(pixels).save(path, xmp=xmp)
  assert read(path).orientation == 6


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
def test_damaged_metadata_are_passed_over(tmp_path, pixels):
  path = tmp_path / 'odd.jpg'
  Image.fromarray(pixels).save(path, exif=b'Exif\0\0II*\0\xff\xff\xff\xff')
  assert read(path).orientation == 1


@pytest.mark.parametrize('side', [9_600, 60_000])
def test_a_bomb_is_one_sentence(tmp_path, side):
  # The first is one at which Pillow warns and goes on.
  path = tmp_path / 'bomb.png'
  path.write_bytes(png_of_few_bits(1, 0, side, side))
  assert path.stat().st_size < 1000
  with pytest.raises(UserError, match=r'bomb\.png: has more than 89,478,485'):
    read(path)


def test_a_pipe_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / 'pipe.png')
  with pytest.raises(UserError, match=r'pipe\.png: is no regular file'):
    read(tmp_path / 'pipe.png')
  (tmp_path / 'folder.png').mkdir()
  with pytest.raises(UserError, match=r'folder\.png: is no regular file'):
    read(tmp_path / 'folder.png')


def test_a_file_that_may_not_be_read(tmp_path, pixels, monkeypatch):
  path = tmp_path / 'image.png'
  Image.fromarray(pixels).save(path)

  def refuse(*args, **kwargs):
    raise PermissionError(13, os.strerror(13), str(path))

  monkeypatch.setattr(type(path), 'open', refuse)
  with pytest.raises(UserError, match=r'image\.png: cannot be read \(Permissi'):
    read(path)


def test_a_missing_file_names_what_is_there_instead(tmp_path, pixels):
  Image.fromarray(pixels).save(tmp_path / 'FRAME_1.JPG', 'JPEG')
  Image.fromarray(pixels).save(tmp_path / 'frame_12.png')
  with pytest.raises(UserError, match=r'file is missing \(there is FRAME_1\.J'):
    read(tmp_path / 'frame_1.png')
  with pytest.raises(UserError, match='file is missing; replace it'):
    read(tmp_path / 'frame_2.png')


@pytest.mark.filterwarnings('ignore::UserWarning:PIL')
def test_damage_anywhere_is_a_sentence_or_an_image(tmp_path, pixels):
  rng = np.random.default_rng(1)
  path = tmp_path / 'image'
  exif = Image.Exif()
  exif[ORIENTATION] = 6
  failures = 0
  for kind in ('PNG', 'JPEG'):
    Image.fromarray(pixels).save(path, kind, exif=exif)
    whole = path.read_bytes()
    for _ in range(200):
      damaged = bytearray(whole)
      for _ in range(3):
        damaged[rng.integers(len(whole))] = rng.integers(256)
      path.write_bytes(damaged[: rng.integers(1, len(whole) + 1)])
      try:
        assert read(path).image.size[0] > 0
      except UserError as error:
        assert str(error).startswith(str(path))
        failures += 1
  assert failures > 100


def product_files():
  for folder in (
    'common_lib',
    'fsnet_jax',
    'input_pipeline',
    'segxal_jax',
    'street_scenes',
  ):
    yield from (ROOT / folder).rglob('*.py')


def test_foreign_files_are_opened_with_their_formats_named():
  unsafe = []
  for path in product_files():
    text = path.read_text()
    if not any(word in text for word in ('open', 'load', 'imread')):
      continue
    for node in ast.walk(ast.parse(text)):
      if not isinstance(node, ast.Call):
        continue
      call = ast.unparse(node.func)
      given = {word.arg: ast.unparse(word.value) for word in node.keywords}
      if (
        (call == 'Image.open' and 'formats' not in given)
        or (call == 'np.load' and given.get('allow_pickle') != 'False')
        or call in ('cv2.imread', 'pickle.load', 'pickle.loads')
      ):
        unsafe.append(f'{path}:{node.lineno}: {call}')
  assert unsafe == []
