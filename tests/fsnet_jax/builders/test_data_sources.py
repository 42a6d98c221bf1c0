"""How many images of a data set are taken for what."""

import numpy as np
from PIL import Image

from configs import fsnet_fcn8
from fsnet_jax.builders import data_sources


def _camvid(root, count=6):
  """Two drives in the official training folder."""
  rng = np.random.default_rng(0)
  for drive in ('0006R0', '0016E5'):
    for index in range(count):
      for folder, shape in (('train', (24, 32, 3)), ('trainannot', (24, 32))):
        path = root / folder / f'{drive}_{index:05d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 11, shape, np.uint8)).save(path)
  return root


def _config(tmp_path, **changes):
  config = fsnet_fcn8.get_config('camvid')
  config.update_from_flattened_dict(
    {
      'image_size': (24, 32),
      'data.root': str(_camvid(tmp_path / 'CamVid')),
      'data.cache_dir': str(tmp_path / 'cache'),
      'data.train_split': '0016E5:train',
      'data.num_train': 2,
    }
    | changes
  )
  return config


def test_a_limit_of_training_is_none_of_what_is_tested_on(tmp_path):
  config = _config(tmp_path)
  assert len(data_sources.training_source(config)) == 2
  # Its frames lie in the official training split.
  assert len(data_sources.source(config, 'camvid/0006R0')) == 6
  assert len(data_sources.source(config, 'camvid/0006R0@blur2')) == 6
  # Where the split is named its limit holds.
  assert len(data_sources.source(config, 'camvid/0006R0:train')) == 2
