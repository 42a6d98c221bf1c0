"""Images through a monitor, a batch at a time: files written, entries out."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import os
import pathlib
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image

from common_lib.class_table import ClassTable
from common_lib.errors import UserError
from fsnet_jax.monitor.monitor import Monitor, MonitorResult
from fsnet_jax.monitor.predict import pictures, rows
from fsnet_jax.monitor.predict.depth import Depths
from fsnet_jax.monitor.predict.inputs import Item, Pending
from fsnet_jax.monitor.predict.rows import Entry

LABELS, FAILURE, OVERLAY, THUMBS = 'labels', 'failure', 'overlay', 'thumbs'
_SUFFIXES = {LABELS: '.png', FAILURE: '.png', OVERLAY: '.jpg', THUMBS: '.jpg'}
# Of a batch, whatever its images: a few hundred MB with all that is drawn.
_MOST_PIXELS = 1 << 24
_THREADS = 8


def file_of(folder: str, name: str) -> str:
  """Path of an output below the folder of a prediction.

  Args:
    folder: of the four.
    name: of `Item`.
  """
  return f'{folder}/{name}{_SUFFIXES[folder]}'


def maps_of(output: pathlib.Path, name: str) -> tuple[np.ndarray, np.ndarray]:
  """Labels uint8 and P(wrong) float32 [h w], as they were written.

  Args:
    output: folder of a prediction.
    name: of `Item`.
  """
  labels, failure = (
    _pixels(output / file_of(folder, name)) for folder in (LABELS, FAILURE)
  )
  scaled = failure / pictures.LARGEST_FAILURE
  return labels.astype(np.uint8), scaled.astype(np.float32)


def _pixels(path: pathlib.Path) -> np.ndarray:
  with Image.open(path, formats=('PNG',)) as picture:
    return np.asarray(picture)


@dataclasses.dataclass(frozen=True)
class Settings:
  """How images are worked through.

  Attributes:
    output: folder of what is written.
    batch_size: most images at a time.
    segment_share: of an image's pixels, that a segment has at least.
    reference: `failure_mean` of calibration images; None without any.
    depths: of the images; None without any.
  """

  output: pathlib.Path
  batch_size: int
  segment_share: float
  reference: Sequence[float] | None
  depths: Depths | None = None


def entries(
  monitor: Monitor, pending: Iterable[Pending], settings: Settings
) -> Iterator[list[Entry]]:
  """Predicts on images; never holds more of them than one batch.

  Args:
    monitor: what looks at them.
    pending: the images, in their order.
    settings: see there.

  Yields:
    The entries of a batch, in the order of its images, all files of which
    are written.
  """
  threads = min(_THREADS, os.cpu_count() or 1)
  warm = False
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    for batch in _batches(pending, settings.batch_size):
      loaded = list(pool.map(_loaded, batch))
      batch.clear()
      if not warm:
        warm = _warmed_up(monitor, loaded)
      found: list[Entry] = []
      for size, part in itertools.groupby(loaded, _size):
        if size is None:
          found += [rows.with_problem(one.item, one.problem) for one in part]
        else:
          found += _predicted(monitor, list(part), settings, pool)
      loaded.clear()
      yield found


def _batches(pending: Iterable[Pending], most: int) -> Iterator[list[Pending]]:
  """Images that are worked on together."""
  batch: list[Pending] = []
  pixels = 0
  for one in pending:
    batch.append(one)
    pixels += one.pixels
    # Another one like this must fit.
    full = len(batch) == most or pixels + one.pixels > _MOST_PIXELS
    del one
    if full:
      yield batch
      batch, pixels = [], 0
  if batch:
    yield batch


@dataclasses.dataclass(frozen=True)
class _Loaded:
  """An image, or what is wrong with its file."""

  item: Item
  image: np.ndarray | None
  problem: str


def _loaded(one: Pending) -> _Loaded:
  try:
    return _Loaded(one.item, one.read(), '')
  except UserError as error:
    return _Loaded(one.item, None, str(error))


def _size(one: _Loaded) -> tuple[int, ...] | None:
  return None if one.image is None else one.image.shape


def _warmed_up(monitor: Monitor, loaded: Sequence[_Loaded]) -> bool:
  """Compiles, so that no image's time has that in it."""
  for one in loaded:
    if one.image is not None:
      monitor(one.image[None])
      return True
  return False


def _predicted(
  monitor: Monitor,
  part: list[_Loaded],
  settings: Settings,
  pool: concurrent.futures.Executor,
) -> list[Entry]:
  """Entries of images of one size."""
  images = np.stack([one.image for one in part if one.image is not None])
  items = [one.item for one in part]
  start = time.perf_counter()
  result = monitor(images)
  each_ms = round(1e3 * (time.perf_counter() - start) / len(images), 3)

  def finished(index: int) -> Entry:
    one = np.s_[index : index + 1]
    own = result.of_image(index)
    depth = None
    if settings.depths is not None:
      depth = settings.depths.of(items[index], own.labels.shape[1:])
    entry = rows.of_image(
      items[index],
      images[one],
      own,
      monitor.classes,
      settings.segment_share,
      settings.reference,
      depth,
    )
    sizes = _write(
      settings.output, items[index].name, images[index], own, monitor.classes
    )
    row = {**entry.row, 'milliseconds': each_ms}
    return dataclasses.replace(entry, row=row, files=sizes)

  return list(pool.map(finished, range(len(items))))


def _write(
  output: pathlib.Path,
  name: str,
  image: np.ndarray,
  result: MonitorResult,
  classes: ClassTable,
) -> dict[str, int]:
  """Writes what there is of an image; returns the files' sizes in bytes."""
  labels, failure = result.labels[0], result.failure[0]
  drawn = pictures.overlay(image, labels, result.flagged[0], classes)
  contents = {
    LABELS: pictures.labels_png(labels),
    FAILURE: pictures.failure_png(failure),
    OVERLAY: pictures.overlay_jpeg(drawn),
    THUMBS: pictures.small_jpeg(image, labels, failure, drawn, classes),
  }
  sizes = {}
  for folder, content in contents.items():
    file = file_of(folder, name)
    path = output / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    sizes[file] = len(content)
  return sizes
