import numpy as np
import pytest
from PIL import Image

from common_lib.errors import UserError
from input_pipeline.datasets import open_source, skipped_files
from tests.input_pipeline.conftest import Folder, random_image

# Layout: images, labels, ending of the labels' stems.
NEW = ('images/10k', 'labels/sem_seg/masks', '')
OLD = ('seg/images', 'seg/labels', '_train_id')
NAMES = {
  'train': ['0a0a0b1a-7c39d841', '0abc1234-00000000'],
  'val': ['7d06fefd-f7be05a6', '7d128593-0ccfea4c', '7d15b18b-1e0d6e3f'],
}


def random_mask(seed):
  ids = np.append(np.arange(19), 255).astype(np.uint8)
  coarse = np.random.default_rng(seed).choice(ids, (6, 8))
  return coarse.repeat(4, 0).repeat(4, 1)


def build(base, layout, prefix='', first_seed=0):
  """Writes a package; seed = first_seed + position over all splits."""
  folder = Folder(base)
  images, masks, ending = (
    prefix + layout[0],
    prefix + layout[1],
    layout[2],
  )
  seed = first_seed
  for split, names in NAMES.items():
    for name in names:
      folder.save(f'{images}/{split}/{name}.jpg', random_image(seed))
      mask = f'{masks}/{split}/{name}{ending}.png'
      folder.save(mask, random_mask(seed))
      seed += 1
  # What else the packages hold.
  folder.save(f'{images}/test/zz.jpg', random_image(90))
  colours = {
    '': 'labels/sem_seg/colormaps/val/zz.png',
    '_train_id': 'seg/color_labels/val/zz_train_color.png',
  }[ending]
  folder.save(prefix + colours, random_image(91))
  return folder


@pytest.fixture(params=[NEW, OLD], ids=['new', 'old'])
def bdd(request, tmp_path):
  return build(tmp_path, request.param), request.param


def ids_of(source):
  return [source[i]['id'] for i in range(len(source))]


def test_scenes_are_those_of_the_files(bdd):
  folder, (images, _, _) = bdd
  for spec, split, seed in (
    ('bdd100k', 'val', 2),
    ('bdd100k:train', 'train', 0),
  ):
    source = open_source(spec, folder.request())
    assert ids_of(source) == NAMES[split]
    for i in range(len(source)):
      scene = source[i]
      path = folder.root / images / split / f'{scene["id"]}.jpg'
      with Image.open(path) as image:
        np.testing.assert_array_equal(scene['image'], np.asarray(image))
      np.testing.assert_array_equal(scene['label'], random_mask(seed + i))
      assert scene['sequence'] == 'bdd100k'


@pytest.mark.parametrize('layout', [NEW, OLD], ids=['new', 'old'])
def test_root_may_be_around_the_packages_folder(tmp_path, layout):
  folder = build(tmp_path, layout, prefix='bdd100k/')
  assert ids_of(open_source('bdd100k', folder.request())) == NAMES['val']


def test_root_may_be_the_folder_seg(tmp_path):
  folder = build(tmp_path, OLD)
  request = folder.request(root=str(folder.root / 'seg'))
  assert ids_of(open_source('bdd100k', request)) == NAMES['val']


def test_newer_layout_comes_first_unless_its_labels_are_missing(tmp_path):
  folder = build(tmp_path, OLD)
  build(tmp_path, NEW, first_seed=10)
  for spec, seed in (('bdd100k', 12), ('bdd100k/new', 12), ('bdd100k/old', 2)):
    source = open_source(spec, folder.request())
    np.testing.assert_array_equal(source[0]['label'], random_mask(seed))
  (folder.root / 'labels').rename(folder.root / 'elsewhere')
  source = open_source('bdd100k', folder.request())
  np.testing.assert_array_equal(source[0]['label'], random_mask(2))
  with pytest.raises(UserError, match='sem_seg/masks/val: no such folder'):
    open_source('bdd100k/new', folder.request())


def test_size_and_number_come_from_the_request(bdd):
  folder, _ = bdd
  source = open_source(
    'bdd100k',
    folder.request(image_size=(12, 20), num_examples={'validation': 2}),
  )
  assert len(source) == 2
  assert source[0]['image'].shape == (12, 20, 3)
  assert source[0]['label'].shape == (12, 20)


def test_root_without_the_layout(tmp_path):
  folder = Folder(tmp_path)
  folder.save('elsewhere/a.jpg', random_image(0))
  message = r'original: no images of bdd100k .*images/10k.*seg/images'
  with pytest.raises(UserError, match=message):
    open_source('bdd100k', folder.request())
  assert not folder.cache.exists()


def test_missing_folder_is_named(bdd):
  folder, (images, masks, _) = bdd
  (folder.root / masks / 'val').rename(folder.root / 'elsewhere')
  with pytest.raises(UserError, match=rf'{masks}/val: no such folder'):
    open_source('bdd100k', folder.request())
  (folder.root / 'elsewhere').rename(folder.root / masks / 'val')
  (folder.root / images / 'val').rename(folder.root / 'elsewhere')
  with pytest.raises(UserError, match=rf'{images}/val: no such folder'):
    open_source('bdd100k', folder.request())


def test_missing_root(bdd):
  folder, _ = bdd
  with pytest.raises(UserError, match=r'nope.*data\.root.*sem_seg'):
    open_source('bdd100k', folder.request(root='nope'))
  with pytest.raises(UserError, match=r'data\.root is not set'):
    open_source('bdd100k', folder.request(root=''))


def test_empty_split(tmp_path):
  folder = Folder(tmp_path)
  for path in ('images/10k/val', 'labels/sem_seg/masks/val'):
    (folder.root / path).mkdir(parents=True)
  with pytest.raises(UserError, match="split 'val' has no image"):
    open_source('bdd100k', folder.request())


def damage(folder, path, kind):
  path = folder.root / path
  if kind == 'missing':
    path.unlink()
  elif kind == 'truncated':
    path.write_bytes(path.read_bytes()[:-20])
  elif kind == 'size':
    folder.save(path, np.zeros((24, 31), np.uint8))
  elif kind == 'id':
    mask = random_mask(0)
    mask[3, 5] = 19
    folder.save(path, mask)
  elif kind == 'colours':
    folder.save(path, random_image(0))


@pytest.mark.parametrize(
  ('role', 'kind', 'reason'),
  [
    ('image', 'missing', 'file is missing'),
    ('image', 'truncated', 'cannot be decoded'),
    ('label', 'missing', 'file is missing'),
    ('label', 'truncated', 'cannot be decoded'),
    ('label', 'size', 'label is 24x31, its image is 24x32'),
    ('label', 'id', 'label id 19 is not defined'),
    ('label', 'colours', 'coloured version'),
  ],
)
def test_damaged_file_is_named_or_skipped(bdd, role, kind, reason):
  folder, (images, masks, ending) = bdd
  name = NAMES['val'][1]
  path = {
    'image': f'{images}/val/{name}.jpg',
    'label': f'{masks}/val/{name}{ending}.png',
  }[role]
  damage(folder, path, kind)
  with pytest.raises(UserError, match=f'{path}: .*{reason}'):
    open_source('bdd100k', folder.request())
  source = open_source('bdd100k', folder.request(on_error='skip'))
  assert ids_of(source) == [NAMES['val'][0], NAMES['val'][2]]
  (skipped,) = skipped_files(source)
  assert skipped['id'] == name


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('bdd100k:test', "no split 'test' with public labels.*train, val"),
    ('bdd100k/night:val', r"no variant 'night'.*\[/new\|old\]"),
  ],
)
def test_unknown_names(bdd, spec, message):
  with pytest.raises(UserError, match=message):
    open_source(spec, bdd[0].request())


def test_no_depth(bdd):
  with pytest.raises(UserError, match='no depth'):
    open_source('bdd100k', bdd[0].request(depth=True))
