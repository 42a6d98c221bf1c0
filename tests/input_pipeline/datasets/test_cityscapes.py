import numpy as np
import pytest
from cityscapesscripts.helpers import labels as official
from PIL import Image

from common_lib.errors import UserError
from input_pipeline.datasets import has_depth, open_source, skipped_files


def load(folder, kind, split, name, ending):
  city = name.split('_')[0]
  path = folder.root / kind / split / city / f'{name}_{ending}.png'
  with Image.open(path) as image:
    return np.asarray(image)


@pytest.mark.parametrize(
  ('spec', 'expected'),
  [
    ('cityscapes', ['frankfurt_000000_000294', 'lindau_000000_000019']),
    ('cityscapes:train', ['aachen_000000_000019', 'ulm_000001_000019']),
    ('cityscapes/lindau:val', ['lindau_000000_000019']),
  ],
)
def test_specs_give_these_images(cityscapes, spec, expected):
  source = open_source(spec, cityscapes.request())
  assert [source[i]['id'] for i in range(len(source))] == expected
  assert [source[i]['sequence'] for i in range(len(source))] == [
    name.split('_')[0] for name in expected
  ]


def test_pixels_are_those_of_the_files(cityscapes):
  source = open_source('cityscapes:val', cityscapes.request())
  for i in range(len(source)):
    scene = source[i]
    image = load(cityscapes, 'leftImg8bit', 'val', scene['id'], 'leftImg8bit')
    ids = load(cityscapes, 'gtFine', 'val', scene['id'], 'gtFine_labelIds')
    expected = np.vectorize(lambda i: official.id2label[i].trainId)(ids)
    np.testing.assert_array_equal(scene['image'], image)
    np.testing.assert_array_equal(scene['label'], expected)


def test_size_comes_from_the_request(cityscapes):
  source = open_source(
    'cityscapes:val', cityscapes.request(image_size=(12, 20))
  )
  assert source[0]['image'].shape == (12, 20, 3)
  assert source[0]['label'].shape == (12, 20)


def test_depth_on_request(cityscapes):
  source = open_source('cityscapes:val', cityscapes.request(depth=True))
  scene = source[1]
  stored = load(cityscapes, 'disparity', 'val', scene['id'], 'disparity')
  pixels = (stored.astype(np.float64) - 1) / 256
  expected = np.where(pixels > 0, 450 / np.where(pixels > 0, pixels, 1), np.nan)
  assert scene['depth'].dtype == np.float32
  np.testing.assert_allclose(scene['depth'], expected, rtol=1e-6)


@pytest.mark.parametrize('kind', ['disparity', 'camera'])
def test_it_has_depth_where_both_packages_are(cityscapes, kind):
  assert has_depth('cityscapes:val', cityscapes.request())
  (cityscapes.root / kind).rename(cityscapes.root / 'elsewhere')
  assert not has_depth('cityscapes:val', cityscapes.request())


def test_missing_disparity_folder_matters_only_with_depth(cityscapes):
  (cityscapes.root / 'disparity').rename(cityscapes.root / 'elsewhere')
  open_source('cityscapes:val', cityscapes.request())
  with pytest.raises(UserError, match=r'disparity/val: no such folder'):
    open_source('cityscapes:val', cityscapes.request(depth=True))


@pytest.mark.parametrize(
  'name',
  [
    'leftImg8bit/val/lindau/lindau_000000_000019_leftImg8bit.png',
    'gtFine/val/lindau/lindau_000000_000019_gtFine_labelIds.png',
    'disparity/val/lindau/lindau_000000_000019_disparity.png',
    'camera/val/lindau/lindau_000000_000019_camera.json',
  ],
)
def test_missing_partner_stops_or_is_skipped(cityscapes, name):
  (cityscapes.root / name).unlink()
  with pytest.raises(UserError, match=f'{name}: file is missing'):
    open_source('cityscapes:val', cityscapes.request(depth=True))
  request = cityscapes.request(depth=True, on_error='skip')
  source = open_source('cityscapes:val', request)
  assert [source[i]['id'] for i in range(len(source))] == [
    'frankfurt_000000_000294'
  ]
  (skipped,) = skipped_files(source)
  assert skipped['id'] == 'lindau_000000_000019'
  assert name in skipped['reason']
  with pytest.raises(UserError, match=r'every scene of .*seq_lindau.*skipped'):
    open_source('cityscapes/lindau', request)


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    ('cityscapes:test', "no split 'test' with public labels.*train, val"),
    ('cityscapes/paris', "'paris' is not in val.*frankfurt, lindau"),
  ],
)
def test_unknown_names(cityscapes, spec, message):
  with pytest.raises(UserError, match=message):
    open_source(spec, cityscapes.request())


def test_missing_root(cityscapes):
  with pytest.raises(UserError, match=r'nope.*data\.root.*leftImg8bit'):
    open_source('cityscapes', cityscapes.request(root='nope'))
  assert not cityscapes.cache.exists()
