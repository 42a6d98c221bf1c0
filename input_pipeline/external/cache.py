"""Outputs of a network on disk, so that a fit runs it once an image.

  FOLDER/<fingerprint of the network>/<two digits>/<SHA-256 of the image>.npz

An entry holds the logits in the compact form, features in 16 bits, and if asked
for the logits of the mirrored image. It appears whole or not at all; one that
is damaged is computed again. Images are known by their content, so only images
that come back unchanged are found: training that augments needs no cache.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import math
import pathlib

import numpy as np

from common_lib import files
from common_lib.errors import UserError
from common_lib.npz import read_npz
from input_pipeline.external import compact
from input_pipeline.external.compact import Compact

# Raised when entries of before mean something else.
_FORMAT = 1
# Headers of an archive of four to seven arrays.
_HEADERS = 2048
_LARGEST_16 = 65504


@dataclasses.dataclass(frozen=True)
class Entry:
  """Outputs for one image, as they are kept.

  Attributes:
    logits: of one image, without an axis of images.
    flip_logits: of the mirrored image, mirrored back, or None.
    features: float16 [fh fw k], or None.
  """

  logits: Compact
  flip_logits: Compact | None
  features: np.ndarray | None


def size_bytes(
  images: int,
  image_size: tuple[int, int],
  feature_shape: tuple[int, int, int] | None,
  *,
  flip: bool,
) -> int:
  """How many bytes a cache takes on disk, up to 2 KiB an image less.

  Args:
    images: how many.
    image_size: their height and width.
    feature_shape: height, width and channels of the features, or None.
    flip: whether mirrored images are in it, too.
  """
  logits = math.prod(image_size) * compact.BYTES_A_PIXEL * (2 if flip else 1)
  features = 2 * math.prod(feature_shape) if feature_shape else 0
  return images * (logits + features + _HEADERS)


class Cache:
  """Entries of one network."""

  def __init__(self, folder: pathlib.Path, fingerprint: str):
    """Makes nothing yet.

    Args:
      folder: of the caches of all networks.
      fingerprint: of the network.
    """
    self._folder = folder / f'{_FORMAT}-{fingerprint}'

  def read(self, image: np.ndarray, *, flip: bool) -> Entry | None:
    """The entry of an image; None where there is none that is whole.

    Args:
      image: uint8 [h w 3].
      flip: whether the mirrored image's logits are needed.
    """
    path = self._path(image)
    if not path.exists():
      return None
    try:
      arrays = read_npz(path, what='a cached output', fix='remove it')
    except UserError:
      return None  # It will be computed and written again.
    try:
      entry = _entry(arrays)
    except KeyError:
      return None
    if not _is_of(entry, image.shape[:2]):
      return None
    return None if flip and entry.flip_logits is None else entry

  def write(self, image: np.ndarray, entry: Entry) -> None:
    """Keeps an entry.

    Args:
      image: uint8 [h w 3].
      entry: its outputs.

    Raises:
      UserError: the disk is full, or the folder cannot be written.
    """
    path = self._path(image)
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **_arrays(entry))
    try:
      path.parent.mkdir(parents=True, exist_ok=True)
      files.write_bytes(path, content.getvalue())
    except OSError as error:
      full = error.errno in (errno.ENOSPC, errno.EDQUOT)
      problem = 'the disk is full' if full else str(error.strerror)
      raise UserError(
        f'{self._folder}: outputs of the segmentation network cannot be kept '
        f'({problem}; {len(content.getvalue()) / 1e6:.1f} MB an image); free '
        'space, choose another data.cache_dir, or do without the cache'
      ) from error

  def remove(self) -> None:
    """Removes all entries of the network."""
    for path in self._folder.glob('*/*.npz'):
      path.unlink(missing_ok=True)

  def _path(self, image: np.ndarray) -> pathlib.Path:
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    name = digest.hexdigest()
    return self._folder / name[:2] / f'{name}.npz'


def _is_of(entry: Entry, size: tuple[int, ...]) -> bool:
  """Whether an entry's arrays are what `compress` makes of such an image."""
  whole = [
    (array.shape, array.dtype.name)
    for kept in (entry.logits, entry.flip_logits)
    if kept is not None
    for array in (kept.classes, kept.largest, kept.below)
  ]
  one = [
    ((*size, compact.KEPT), 'uint8'),
    (size, 'float32'),
    ((*size, compact.KEPT), 'float16'),
  ]
  return whole in (one, one + one)


def half(features: np.ndarray) -> np.ndarray:
  """Features in 16 bits; what is beyond their range becomes its end."""
  return np.clip(features, -_LARGEST_16, _LARGEST_16).astype(np.float16)


def _arrays(entry: Entry) -> dict[str, np.ndarray]:
  arrays = {}
  for start, kept in (('', entry.logits), ('flip_', entry.flip_logits)):
    if kept is not None:
      for field in dataclasses.fields(kept):
        arrays[f'{start}{field.name}'] = getattr(kept, field.name)
  if entry.features is not None:
    arrays['features'] = entry.features
  return arrays


def _entry(arrays: dict[str, np.ndarray]) -> Entry:
  def kept(start: str) -> Compact:
    names = [field.name for field in dataclasses.fields(Compact)]
    return Compact(*(arrays[f'{start}{name}'] for name in names))

  flip = kept('flip_') if 'flip_classes' in arrays else None
  return Entry(kept(''), flip, arrays.get('features'))
