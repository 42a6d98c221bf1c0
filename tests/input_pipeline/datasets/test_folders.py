"""Folders of files as they come: names, permissions, other people's copies."""

import errno
import os
import pathlib
import unicodedata

import numpy as np
import pytest

from common_lib.errors import UserError
from input_pipeline import notes
from input_pipeline.datasets import folders, open_source
from tests.input_pipeline.conftest import Folder, random_ids, random_image
from tests.input_pipeline.datasets import test_mapillary_vistas as vistas

NFC = unicodedata.normalize('NFC', 'ü')
NFD = unicodedata.normalize('NFD', 'ü')

# Data set: spec, image and label of one scene, NAME for a part of the name.
LAYOUTS = {
  'camvid': (
    'camvid:val',
    'val/0001TP_{}.png',
    'valannot/0001TP_{}.png',
  ),
  'cityscapes': (
    'cityscapes:val',
    'leftImg8bit/val/ulm/ulm_{}_leftImg8bit.png',
    'gtFine/val/ulm/ulm_{}_gtFine_labelIds.png',
  ),
  'bdd100k': (
    'bdd100k:val',
    'images/10k/val/{}.jpg',
    'labels/sem_seg/masks/val/{}.png',
  ),
  'idd_lite': (
    'idd_lite:val',
    'leftImg8bit/val/12/{}_image.jpg',
    'gtFine/val/12/{}_label.png',
  ),
  'mapillary_vistas': (
    'mapillary_vistas:val',
    'validation/images/{}.jpg',
    'validation/v1.2/labels/{}.png',
  ),
}


@pytest.fixture(params=LAYOUTS)
def layout(request, tmp_path):
  """The folder of one data set, without images; spec and file names."""
  if request.param == 'mapillary_vistas':
    folder = vistas.build(tmp_path, vistas.V1_2)
    for path in folder.root.rglob('*'):
      if path.suffix in ('.jpg', '.png'):
        path.unlink()
  else:
    folder = Folder(tmp_path)
  return folder, *LAYOUTS[request.param]


def ids_of(source):
  return [source[i]['id'] for i in range(len(source))]


@pytest.mark.parametrize(
  ('of_image', 'of_label'), [(NFD, NFC), (NFC, NFD), (NFD, NFD)]
)
def test_names_are_matched_however_composed(layout, of_image, of_label):
  folder, spec, image, label = layout
  folder.save(image.format('m' + of_image), random_image(0))
  folder.save(label.format('m' + of_label), random_ids(0, 2))
  source = open_source(spec, folder.request())
  assert len(source) == 1
  assert source[0]['id'].endswith('m' + NFC)


def test_one_name_composed_in_two_ways_is_refused(layout):
  folder, spec, image, label = layout
  for name in (NFC, NFD):
    folder.save(image.format(name), random_image(0))
    folder.save(label.format(name), random_ids(0, 2))
  with pytest.raises(UserError, match='is the same scene; remove one'):
    open_source(spec, folder.request())


def test_a_name_that_is_not_utf8_is_named(layout):
  folder, spec, image, label = layout
  odd = os.fsdecode(b'\xff\xfe')
  folder.save(image.format(odd), random_image(0))
  folder.save(label.format(odd), random_ids(0, 2))
  with pytest.raises(UserError, match='not UTF-8; rename') as error:
    open_source(spec, folder.request())
  str(error.value).encode()


def test_control_characters_of_a_name_stay_in_the_file(layout, capfd):
  folder, spec, image, label = layout
  name = 'a\x1b[31mred\x07'
  folder.save(image.format(name), random_image(0))
  (folder.root / label.format(name)).parent.mkdir(parents=True, exist_ok=True)
  (folder.root / label.format(name)).write_bytes(b'no image')
  folder.save(image.format('b'), random_image(0))
  folder.save(label.format('b'), random_ids(0, 2))
  with pytest.raises(UserError, match='red') as error:
    open_source(spec, folder.request())
  assert '\x1b' not in str(error.value)
  open_source(spec, folder.request(on_error='skip'))
  assert '\x1b' not in ''.join(capfd.readouterr())


def test_files_of_other_names_are_named(layout):
  folder, spec, image, label = layout
  image, label = pathlib.Path(image), pathlib.Path(label)
  found_image = image.with_suffix('.bmp').name.format('a')
  found_label = f'{label.stem.format("a")}_color.png'
  folder.save(image.with_name(found_image), random_image(0))
  folder.save(label.with_name(found_label), random_image(0))
  with pytest.raises(UserError, match='no image has a label') as error:
    open_source(spec, folder.request(on_error='skip'))
  for part in (found_image, found_label, 'data.root'):
    assert part in str(error.value)
  assert not folder.cache.exists()


@pytest.mark.parametrize(
  ('image_ending', 'label_ending'),
  [
    ('_leftImg8bit.jpg', '_gtFine_labelIds.png'),
    ('_leftImg8bit.PNG', '_gtFine_labelIds.PNG'),
    ('_leftImg8bit.png', '_gtFine_labelTrainIds.png'),
  ],
)
def test_other_copies_of_cityscapes(tmp_path, image_ending, label_ending):
  folder = Folder(tmp_path)
  for city in ('bern', 'ulm'):
    frame = f'{city}_000000_000019'
    where = f'val/{city}/{frame}'
    for path, array in (
      (f'leftImg8bit/{where}{image_ending}', random_image(0)),
      (f'gtFine/{where}{label_ending}', random_ids(0, 3)),
    ):
      folder.save(path, array, format='PNG')
  with pytest.raises(UserError, match='no image has a label') as error:
    open_source('cityscapes', folder.request())
  message = str(error.value)
  assert f'bern_000000_000019{image_ending}' in message
  assert f'bern_000000_000019{label_ending}' in message
  assert 'NAME_gtFine_labelIds.png' in message


def test_a_partner_of_another_type_is_named(camvid):
  path = camvid.root / 'trainannot/0001TP_006720.png'
  path.rename(path.with_suffix('.bmp'))
  with pytest.raises(
    UserError, match=r'006720\.png: file is missing \(there is 0001TP_006720\.b'
  ):
    open_source('camvid:train', camvid.request())


@pytest.mark.parametrize(
  ('spec', 'place'),
  [
    ('camvid:train', 'train'),
    ('camvid/0001TP', 'testannot'),
  ],
)
@pytest.mark.parametrize('call', ['scandir', 'listdir', 'stat'])
def test_folders_that_may_not_be_read(camvid, spec, place, call, monkeypatch):
  closed = str(camvid.root / place)
  real = getattr(os, call)

  def refuse(path='.', *args, **kwargs):
    if str(path).startswith(closed) and not (
      call == 'stat' and str(path) == closed
    ):
      raise PermissionError(13, os.strerror(13), str(path))
    return real(path, *args, **kwargs)

  monkeypatch.setattr(os, call, refuse)
  with pytest.raises(UserError, match=f'{place}.*(permission|Permission)'):
    open_source(spec, camvid.request())


def test_a_city_that_may_not_be_read_is_not_left_out(cityscapes, monkeypatch):
  listdir = os.listdir

  def refuse(path):
    if str(path).endswith('gtFine/val/lindau'):
      raise PermissionError(13, os.strerror(13), str(path))
    return listdir(path)

  monkeypatch.setattr(os, 'listdir', refuse)
  with pytest.raises(UserError, match='gtFine/val/lindau: cannot be read'):
    open_source('cityscapes', cityscapes.request(on_error='skip'))


@pytest.mark.parametrize(
  ('root', 'message'),
  [
    ('file', 'is a file or lies in one'),
    ('file/below', 'is a file or lies in one'),
    ('loop', 'symbolic links that lead in a circle'),
    ('loop/below', 'symbolic links that lead in a circle'),
    ('x' * 300, os.strerror(errno.ENAMETOOLONG)),
    ('nothing', 'no such folder'),
  ],
)
@pytest.mark.parametrize('name', LAYOUTS)
def test_roots_that_are_no_folder(tmp_path, name, root, message):
  (tmp_path / 'file').write_text('')
  (tmp_path / 'loop').symlink_to('loop')
  request = Folder(tmp_path).request(root=str(tmp_path / root))
  with pytest.raises(UserError, match=f'{message}.*; point data.root'):
    open_source(LAYOUTS[name][0], request)


@pytest.mark.parametrize('field', ['root', 'cache_dir'])
@pytest.mark.parametrize(
  ('path', 'message'),
  [
    (os.fsdecode(b'/tmp/\xff'), 'is not UTF-8'),
    ('/tmp/\0', 'holds a zero byte'),
  ],
)
def test_paths_that_no_report_can_hold(camvid, field, path, message):
  with pytest.raises(UserError, match=rf'data\.{field}.*{message}') as error:
    camvid.request(**{field: path})
  str(error.value).encode()


def test_a_cache_of_any_name(camvid):
  odd = camvid.cache / 'a[1:2]{x}*?%20 é#'
  for _ in range(2):
    source = open_source('camvid:val', camvid.request(cache_dir=str(odd)))
    assert source[1]['id'] == '0016E5_07961'


def test_hidden_folders_and_files_are_left_aside(cityscapes):
  for path in ('gtFine/val/.cache/x.png', 'gtFine/val/readme.txt'):
    (cityscapes.root / path).parent.mkdir(exist_ok=True)
    (cityscapes.root / path).write_text('')
  assert len(open_source('cityscapes', cityscapes.request())) == 2


def test_splits_that_are_mixed_are_noted(camvid, capsys):
  notes.once.cache_clear()
  open_source('camvid/0001TP:train', camvid.request())
  open_source('camvid/0006R0', camvid.request())  # in train alone
  assert 'names no split' not in capsys.readouterr().err
  for _ in range(2):
    open_source('camvid/0001TP@fog1', camvid.request())
  lines = capsys.readouterr().err.splitlines()
  (line,) = [line for line in lines if 'names no split' in line]
  assert 'camvid/0001TP names no split' in line
  assert '2 of train, 1 of test' in line


def test_another_shape_is_noted_unless_it_is_kept(camvid, capsys):
  notes.once.cache_clear()
  for changes in ({}, {'image_size': (12, 16)}):
    open_source('camvid:val', camvid.request(**changes))
  open_source(
    'camvid:val', camvid.request(image_size=(24, 64), resize='letterbox')
  )
  assert 'squeezed' not in capsys.readouterr().err
  for spec in ('camvid:val', 'camvid:train'):
    open_source(spec, camvid.request(image_size=(24, 64)))
  lines = capsys.readouterr().err.splitlines()
  (line,) = [line for line in lines if 'squeezed' in line]
  assert 'camvid (24x32)' in line and '(24x64)' in line and '2.00' in line


def test_letterboxed_scenes(layout):
  folder, spec, image, label = layout
  folder.save(image.format('a'), random_image(0))
  folder.save(label.format('a'), random_ids(0, 2))
  squeezed = open_source(spec, folder.request())
  assert 'content' not in squeezed[0]
  request = folder.request(image_size=(24, 64), resize='letterbox')
  source = open_source(spec, request)
  assert source.folders != squeezed.folders
  scene = source[0]
  assert scene['content'].tolist() == [0, 16, 24, 48]
  key = 'coarse_label' if spec.startswith('idd') else 'label'
  np.testing.assert_array_equal(scene[key][:, 16:48], squeezed[0][key])
  np.testing.assert_array_equal(scene['image'][:, 16:48], squeezed[0]['image'])
  assert (scene[key][:, :16] == 255).all()
  # What is in a letterbox is made worse, not the box.
  worse = open_source(f'{spec}@night5', request)[0]
  plain = open_source(f'{spec}@night5', folder.request())[0]
  np.testing.assert_array_equal(worse['image'][:, 16:48], plain['image'])
  np.testing.assert_array_equal(worse['image'][:, :16], scene['image'][:, :16])


def test_a_side_has_the_path_of_what_is_missing(tmp_path):
  side = folders.Side(tmp_path, '_x.png', {'a': tmp_path / 'A_x.PNG'})
  assert side.path('a') == tmp_path / 'A_x.PNG'
  assert side.path('c/b') == tmp_path / 'c/b_x.png'
