"""Images of a user's own, and a command that learns them in a moment."""

import json
import shlex
import sys

import numpy as np
from PIL import Image

from configs import segxal_common
from fsnet_jax.config import resolution
from segxal_jax.config import fields, validation
from tests.segxal_jax.loop import small_loop

SIZE = small_loop.FIELDS['image_size']
# Label values are none of the indices.
TABLE = {
  'classes': [
    {'name': name, 'color': color, 'ids': [10 + index]}
    for index, (name, color) in enumerate(
      [
        ('road', [120, 60, 120]),
        ('sky', [60, 120, 180]),
        ('green', [100, 140, 30]),
        ('car', [0, 0, 140]),
        ('house', [80, 80, 80]),
      ]
    )
  ],
  'void_ids': [0],
}
COMMAND = (
  f'{shlex.quote(sys.executable)} -m '
  'tests.segxal_jax.loop.training_command.tiny_command {pool} {model}'
)
FIELDS = small_loop.FIELDS | {
  'data.name': 'folder',
  'data.train_split': ':train',
  'data.validation_split': '',
  'data.num_test': 0,
  'learner.kind': 'command',
  'learner.command': COMMAND,
  'pool.num_initial': 0,
  'pool.subset_share': 1.0,
  'oracle.kind': 'self_pseudo',
  'oracle.rest': 'prediction',
  'eval.datasets': ('folder:test',),
  'report.num_watched': 1,
}


def draw(root, labelled=4, unlabelled=6, tested=2):
  """Writes a folder; returns the labels of all images, by id, as indices."""
  rng = np.random.default_rng(5)
  (root / 'images').mkdir(parents=True)
  (root / 'classes.json').write_text(json.dumps(TABLE))
  colors = np.array([one['color'] for one in TABLE['classes']], np.float32)
  truth = {}
  for index in range(labelled + unlabelled + tested):
    split = 'train' if index < labelled + unlabelled else 'test'
    cells = rng.integers(0, len(colors), (4, 8))
    label = np.repeat(np.repeat(cells, SIZE[0] // 4, 0), SIZE[1] // 8, 1)
    noise = rng.normal(0, 12, (*SIZE, 3))
    image = np.uint8(np.clip(colors[label] + noise, 0, 255))
    _save(root / 'images' / split / f'{index:03d}.png', image)
    if index < labelled or split == 'test':
      _save(root / 'labels' / split / f'{index:03d}.png', np.uint8(label + 10))
    truth[f'{index:03d}'] = np.uint8(label)
  return truth


def _save(path, pixels):
  path.parent.mkdir(parents=True, exist_ok=True)
  Image.fromarray(pixels).save(path)


def config_of(root, cache, **changes):
  """A checked config; `a__b=1` in changes sets config.a.b."""
  config = segxal_common.get_config()
  fields_of_run = FIELDS | {
    'data.root': str(root),
    'data.cache_dir': str(cache),
  }
  fields_of_run |= {
    key.replace('__', '.'): value for key, value in changes.items()
  }
  config.update_from_flattened_dict(fields_of_run)
  validation.check(config)
  # As the program takes it: with the folder's class table.
  return resolution.resolved(config, fields.FIELDS)
