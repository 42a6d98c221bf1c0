"""Data sets as a config opens them: whose limits hold, and what they share."""

import numpy as np

from configs import fsnet_fcn8
from fsnet_jax.builders import data_sources
from tests.input_pipeline.conftest import SIZE, Folder, random_ids, random_image
from tests.input_pipeline.datasets import test_mapillary_vistas as vistas

FRAMES = 3


def camvid_config(base):
  """The protocol on three frames of each split of CamVid."""
  folder = Folder(base)
  for split in ('train', 'val', 'test'):
    for number in range(FRAMES):
      name = f'0016E5_{split}{number}.png'
      folder.save(f'{split}/{name}', random_image(number))
      folder.save(f'{split}annot/{name}', random_ids(number, 12))
  config = fsnet_fcn8.get_config('camvid')
  config.image_size = SIZE
  config.data.root = str(folder.root)
  config.data.cache_dir = str(folder.cache)
  config.data.num_validation = 0
  return config


def test_limits_hold_for_the_own_data_set_alone(tmp_path):
  config = camvid_config(tmp_path)
  config.data.num_train = 2
  config.data.num_validation = config.data.num_test = 1
  for split, images in (('train', 2), ('val', 1), ('test', 1)):
    assert len(data_sources.source(config, f'camvid:{split}')) == images
    assert len(data_sources.source(config, f'camvid:{split}@fog1')) == images
  other = vistas.build(tmp_path / 'vistas', vistas.V1_2)
  config.eval.roots.mapillary_vistas = str(other.root)
  for split, name in (('train', 'training'), ('val', 'validation')):
    source = data_sources.source(config, f'mapillary_vistas:{split}')
    assert len(source) == len(vistas.NAMES[name])


def test_the_own_data_set_is_evaluated_where_eval_roots_says(tmp_path):
  config = camvid_config(tmp_path / 'a')
  elsewhere = Folder(tmp_path / 'b')
  elsewhere.save('test/0006R0_f1.png', random_image(7))
  elsewhere.save('testannot/0006R0_f1.png', random_ids(7, 12))
  assert len(data_sources.source(config, 'camvid:test')) == FRAMES
  config.eval.roots.camvid = str(elsewhere.root)
  assert len(data_sources.source(config, 'camvid:test')) == 1
  # What is trained and validated on stays where data.root is.
  assert len(data_sources.training_source(config)) == FRAMES
  assert len(data_sources.validation_source(config)) == FRAMES
  config.data.root = ''
  assert len(data_sources.source(config, 'camvid:test')) == 1


def test_images_that_validation_and_evaluation_share(tmp_path):
  config = camvid_config(tmp_path)
  for spec, shared in (
    ('camvid:val', FRAMES),
    ('camvid/0016E5', FRAMES),  # All its splits.
    ('camvid/0016E5@fog1', FRAMES),
    ('camvid:test', 0),
    ('streets/day', 0),
  ):
    assert data_sources.images_in_common(config, spec) == shared, spec
  config.data.num_validation = 1  # Of both, evenly taken.
  assert data_sources.images_in_common(config, 'camvid/0016E5') == 1
  config.data.validation_split = ''
  assert data_sources.images_in_common(config, 'camvid:val') == 0


def test_cityscapes_validates_on_no_image_that_it_evaluates(tmp_path):
  folder, cities = Folder(tmp_path), {'train': ['aachen', 'ulm', 'zurich']}
  cities['val'] = ['frankfurt']
  for split, names in cities.items():
    for seed, city in enumerate(names):
      where = f'{split}/{city}/{city}_000000_000019'
      folder.save(f'leftImg8bit/{where}_leftImg8bit.png', random_image(seed))
      folder.save(f'gtFine/{where}_gtFine_labelIds.png', random_ids(seed, 34))
  config = fsnet_fcn8.get_config('cityscapes')
  config.image_size = SIZE
  config.data.root = str(folder.root)
  config.data.cache_dir = str(folder.cache)
  source = data_sources.validation_source(config)
  assert {scene['sequence'] for scene in source} == {'ulm', 'zurich'}
  # The paper trains on every image of the split.
  assert len(data_sources.training_source(config)) == 3
  for spec in config.eval.datasets:
    assert data_sources.images_in_common(config, spec) == 0
  config.data.validation_split = ':val'
  assert data_sources.images_in_common(config, 'cityscapes:val') == 1


def test_only_what_is_evaluated_is_letterboxed(tmp_path):
  config = camvid_config(tmp_path)
  config.image_size = (SIZE[0], 2 * SIZE[1])
  config.eval.resize = 'letterbox'
  scene = data_sources.source(config, 'camvid:val')[0]
  height, width = SIZE
  left = width // 2
  assert scene['content'].tolist() == [0, left, height, left + width]
  for own in (
    data_sources.training_source(config),
    data_sources.validation_source(config),
  ):
    assert 'content' not in own[0]
    # Void of the files alone, no bars.
    assert (np.asarray(own[0]['label'])[:, 0] != 255).any()
  config.image_size = (32, 64)
  config.data.name = 'streets'
  config.data.num_test = 2
  assert 'content' not in data_sources.source(config, 'streets/day')[0]


def test_depth_comes_along_where_there_is_some(tmp_path):
  config = camvid_config(tmp_path)
  assert 'depth' not in data_sources.source(config, 'camvid', depth=True)[0]
  config.data.num_test = 1
  config.image_size = (32, 64)
  config.data.name = 'streets'
  for spec in ('streets/day', 'streets/day@fog1'):
    assert 'depth' not in data_sources.source(config, spec)[0]
    source = data_sources.source(config, spec, depth=True)
    (batch,) = data_sources.evaluation_batches(
      config, source, arrays=('depth',)
    )
    assert batch['depth'].dtype == np.float32
    np.testing.assert_array_equal(batch['depth'][0], source[0]['depth'])
