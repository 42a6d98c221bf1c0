"""Images, classes and a network of one's own, in one run."""

import json

import jaxtyping
import numpy as np
import pytest
from PIL import Image

from configs import own
from fsnet_jax.monitor import Monitor
from tests.fsnet_jax.monitor import own_run

CLASSES = {
  'classes': [
    {'name': 'dark', 'color': [10, 10, 10], 'ids': [3]},
    {'name': 'grey', 'color': [128, 128, 128], 'ids': [300]},
    {'name': 'bright', 'color': [250, 250, 250], 'ids': [9, 10]},
  ],
  'void_ids': [0],
}
SIZE = 40, 72


def _write(root, split, drive, number, labelled=True):
  """An image of three stripes; a label of 16 bits, with a void corner."""
  rng = np.random.default_rng([number, len(split)])
  index = np.repeat(rng.integers(0, 3, 9), 8)[None].repeat(SIZE[0], 0)
  image = np.array([20, 128, 230])[index][..., None].repeat(3, -1)
  image = np.clip(image + rng.normal(0, 25, image.shape), 0, 255)
  place = root / 'images' / split / drive
  place.mkdir(parents=True, exist_ok=True)
  Image.fromarray(image.astype(np.uint8)).save(place / f'{number:03d}.png')
  if labelled:
    ids = np.array([3, 300, 9], np.uint16)[index]
    ids[:5, :5] = 0
    place = root / 'labels' / split / drive
    place.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids).save(place / f'{number:03d}.png')
  return index


@pytest.mark.slow
def test_a_folder_of_images_to_a_report(tmp_path, shared):
  root = tmp_path / 'data'
  for number in range(8):
    _write(root, 'train', f'drive{number // 4}', number)
  truth = [_write(root, 'test', 'drive9', number) for number in range(4)]
  _write(root, 'train', 'drive0', 99, labelled=False)
  (root / 'classes.json').write_text(json.dumps(CLASSES))
  source = tmp_path / 'stripes.py'
  source.write_text(
    'import numpy as np\ndef predict(images):\n'
    '  grey = images.astype(np.float32).mean(-1)[..., None]\n'
    '  return -np.abs(grey - np.array([20, 128, 230], np.float32)) / 20\n'
  )
  config = own.get_config('folder')
  config.update_from_flattened_dict(
    {
      name: value
      for name, value in own_run.FIELDS.items()
      if not name.startswith('data.') and name != 'eval.datasets'
    }
    | {
      'image_size': SIZE,
      'segmentation.path': f'{source}:predict',
      'data.root': str(root),
      'data.cache_dir': str(tmp_path / 'prepared'),
      'compilation_cache_dir': 'off',
    }
  )
  jaxtyping.config.update('jaxtyping_disable', True)
  try:
    own_run.run(config, tmp_path / 'run')
    (root / 'classes.json').unlink()  # The run has the table.
    monitor = Monitor.load(tmp_path / 'run')
  finally:
    jaxtyping.config.update('jaxtyping_disable', False)
  found = json.loads((tmp_path / 'run/report/metrics.json').read_text())
  entry = found['datasets']['folder:test']
  assert entry['images'] == 4
  assert entry['pixels'] == 4 * (SIZE[0] * SIZE[1] - 25)
  assert list(entry['segmentation']['iou']) == ['dark', 'grey', 'bright']
  assert entry['segmentation']['pixel_acc'] > 0.9
  assert monitor.classes.names == ('dark', 'grey', 'bright')
  images = [
    np.asarray(Image.open(path))
    for path in sorted((root / 'images/test').rglob('*.png'))
  ]
  result = monitor(np.stack(images))
  assert (result.labels == np.stack(truth)).mean() > 0.9
