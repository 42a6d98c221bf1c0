"""Data sets as a config opens them: whose the limits of a protocol are."""

from configs import fsnet_fcn8
from fsnet_jax import build
from tests.input_pipeline import test_mapillary_vistas as vistas
from tests.input_pipeline.conftest import SIZE, Folder, random_ids, random_image

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
    assert len(build.source(config, f'camvid:{split}')) == images
    assert len(build.source(config, f'camvid:{split}@fog1')) == images
  other = vistas.build(tmp_path / 'vistas', vistas.V1_2)
  config.eval.roots.mapillary_vistas = str(other.root)
  for split, name in (('train', 'training'), ('val', 'validation')):
    source = build.source(config, f'mapillary_vistas:{split}')
    assert len(source) == len(vistas.NAMES[name])
