"""Depth maps computed once an image and kept on disk.

A map is found by what it was made of: the pixels and the provider's
fingerprint. Renamed or moved data sets keep their maps, changed pixels or
other weights never get an old one.
"""

import hashlib
import io
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from common_lib import files
from common_lib.errors import UserError
from common_lib.npz import read_npz
from segxal_jax.depth import DepthProvider


class CachedDepth:
  """Another provider, computed once an image."""

  needs_dataset_depth = False
  fingerprint = ''

  def __init__(self, provider: DepthProvider, folder: pathlib.Path):
    """Keeps maps of `provider` under `folder`."""
    self._provider = provider
    self.name, self.title = provider.name, provider.title
    self.inverse = provider.inverse
    made_of = hashlib.sha256(provider.fingerprint.encode()).hexdigest()[:16]
    self._folder = folder / f'{provider.name}-{made_of}'
    self._folder.mkdir(parents=True, exist_ok=True)

  def __call__(self, scene: Mapping[str, Any]) -> np.ndarray:
    """See `DepthProvider`; float32 in half precision's steps.

    A map is stored as float16, and given as stored also the first time: a
    resumed run sees what the first one saw.
    """
    path = self._folder / f'{_digest(scene["image"])}.npz'
    stored = _read(path, scene['image'].shape[:2])
    if stored is None:
      depth = np.asarray(self._provider(scene), np.float32)
      # Relative depth has no unit: a factor keeps it within half precision.
      largest = np.max(np.abs(depth), where=np.isfinite(depth), initial=0.0)
      factor = largest / 1000 if largest > 60000 else 1.0
      stored = (depth / factor).astype(np.float16)
      content = io.BytesIO()
      np.savez(content, depth=stored)
      files.write_bytes(path, content.getvalue())
    return stored.astype(np.float32)


def cached(provider: DepthProvider, folder: pathlib.Path) -> DepthProvider:
  """The provider itself if it is cheap, else with a cache."""
  return CachedDepth(provider, folder) if provider.fingerprint else provider


def _digest(image: np.ndarray) -> str:
  shape = str(image.shape).encode()
  pixels = np.ascontiguousarray(image).tobytes()
  return hashlib.sha256(shape + pixels).hexdigest()[:32]


def _read(path: pathlib.Path, size: tuple[int, int]) -> np.ndarray | None:
  """A stored map, or None where there is none or a damaged one."""
  if not path.exists():
    return None
  try:
    arrays = read_npz(path, what='a depth map', fix='it is made again')
  except UserError:
    return None
  stored = arrays.get('depth')
  if stored is None or stored.dtype != np.float16 or stored.shape != size:
    return None
  return stored
