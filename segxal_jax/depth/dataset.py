"""The data set's own depth: exact for `streets`, stereo for Cityscapes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict


class DatasetDepth:
  """Metres, as the scene carries them."""

  name = 'dataset'
  title = "the data set's own depth"
  inverse = False
  needs_dataset_depth = True
  fingerprint = ''

  def __call__(self, scene: Mapping[str, Any]) -> np.ndarray:
    """See `DepthProvider`."""
    return np.asarray(scene['depth'])


def create(options: ConfigDict) -> DatasetDepth:
  """See `segxal_jax.depth`."""
  del options
  return DatasetDepth()
