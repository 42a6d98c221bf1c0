"""A failure network over a network from elsewhere, as small as can be."""

import numpy as np

from configs import own
from fsnet_jax import cli

# Scores of three colours for each class: a network that is mostly wrong.
WEIGHTS = np.random.default_rng(19).normal(size=(19, 3)).astype(np.float32) / 64
_SOURCE = """
import numpy as np

WEIGHTS = np.array({weights}, np.float32)


def predict(images):
  return images.astype(np.float32) @ WEIGHTS.T
"""
FIELDS = {
  'image_size': (32, 64),
  'segmentation.name': 'python',
  'data.train_split': 'day:validation',
  'data.num_train': 8,
  'data.num_validation': 8,
  'data.num_test': 6,
  'phase3_steps': 4,
  'checkpoint_every_steps': 4,
  'log_every_steps': 2,
  'failure.preset': 'light',
  'failure.mix': 'clean',
  'failure.width': 0.05,
  'failure.blocks': 1,
  'fit.pixel.pixels': 100,
  'eval.datasets': ('streets/day',),
  'eval.detectors': ('fsnet', 'msp', 'entropy'),
  'eval.num_examples': 1,
}


def function(folder):
  """Writes the network as a Python function; returns `segmentation.path`."""
  path = folder / 'network_of_a_test.py'
  path.write_text(_SOURCE.format(weights=WEIGHTS.tolist()))
  return f'{path}:predict'


def config_of(shared, path, **changes):
  """A config; `a__b=1` in changes sets config.a.b."""
  config = own.get_config()
  fields = FIELDS | {
    'segmentation.path': str(path),
    'data.cache_dir': str(shared / 'data'),
    'compilation_cache_dir': 'off',
  }
  fields |= {key.replace('__', '.'): value for key, value in changes.items()}
  config.update_from_flattened_dict(fields)
  return config


def run(config, workdir, mode='train'):
  """What `main.py` runs."""
  cli.run(config, workdir, mode, {'config_name': 'own', 'command': 'a test'})
