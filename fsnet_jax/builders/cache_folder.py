"""From a config to the folder of what is made once and read again."""

import os

from ml_collections import ConfigDict

from common_lib.paths import default_folder, expanded


def cache_dir(config: ConfigDict) -> str:
  """Where prepared copies are kept, by TFDS's own convention."""
  folder = config.data.cache_dir or os.environ.get('TFDS_DATA_DIR')
  if folder:
    return str(expanded(folder))
  return str(default_folder('~/tensorflow_datasets', 'prepared data'))
