"""What is done with an image, with a region and with a group of images."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import pathlib
import tempfile
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.io.filesystems import FileSystems

from common_lib.errors import UserError
from common_lib.foreign import quoted
from fsnet_jax.monitor import shift, statistics
from fsnet_jax.monitor.monitor import Monitor, MonitorResult
from fsnet_jax.monitor.predict import inputs, rows
from fsnet_jax.monitor.predict.inputs import Item

PROBLEMS = 'problems'
# Of a group, that a test of its statistics has any power with.
_FEWEST = 10


def name_below(path: str, base: str) -> str:
  """What an image is called: its path below the part without wildcards."""
  return path[len(base) :].lstrip('/') if path.startswith(base) else path


class Look(beam.DoFn):
  """Images of a batch through a monitor, which each worker opens once.

  Gives an `Entry` as a dict for each image, and under `PROBLEMS` the image and
  one sentence for each that cannot be read.
  """

  def __init__(self, monitor: str, base: str, segment_share: float):
    """Opens nothing yet.

    Args:
      monitor: exported file.
      base: what names of images begin behind.
      segment_share: of an image's pixels, that a region has at least.
    """
    super().__init__()
    self._path, self._base, self._share = monitor, base, segment_share
    self._monitor: Monitor | None = None

  def setup(self) -> None:
    """Opens the monitor, once a worker."""
    self._monitor = Monitor.load(self._path)

  def process(self, paths: Sequence[str]) -> Iterator[Any]:
    """Looks at a batch of files."""
    read: dict[tuple[int, ...], list[tuple[str, np.ndarray]]] = {}
    for path in paths:
      name = name_below(path, self._base)
      try:
        image = _read(path)
      except UserError as error:
        problem = {'image': name, 'problem': str(error)}
        yield beam.pvalue.TaggedOutput(PROBLEMS, problem)
        continue
      read.setdefault(image.shape, []).append((name, image))
    for found in read.values():
      yield from self._entries(found)

  def _entries(
    self, found: Sequence[tuple[str, np.ndarray]]
  ) -> Iterator[dict[str, Any]]:
    """Of images of one size."""
    monitor = self._monitor
    assert monitor is not None  # Beam calls `setup` first.
    images = np.stack([image for _, image in found])
    start = time.perf_counter()
    result = monitor(images)
    each_ms = round(1e3 * (time.perf_counter() - start) / len(images), 3)
    reference = monitor.reference
    means = None if reference is None else reference['failure_mean']
    for index, (name, _) in enumerate(found):
      one = np.s_[index : index + 1]
      own = result.of_image(index)
      parent = pathlib.PurePosixPath(name).parent.as_posix()
      item = Item(name, name, '' if parent == '.' else parent)
      entry = rows.of_image(
        item, images[one], own, monitor.classes, self._share, means
      )
      value = dataclasses.asdict(entry)
      value['row'] = {**entry.row, 'milliseconds': each_ms}
      value['classes'] = _by_class(own, monitor.classes.names)
      yield value


def _read(path: str) -> np.ndarray:
  """An image, wherever Beam can read it.

  Raises:
    UserError: it is no image; the message does not name it.
  """
  with _local(path) as file:
    return inputs.read_image(file)


@contextlib.contextmanager
def _local(path: str) -> Generator[pathlib.Path]:
  """The file itself, or a copy where it lies elsewhere."""
  file = pathlib.Path(path)
  if file.exists():
    yield file
    return
  try:
    with FileSystems.open(path) as remote:
      content = remote.read()
  except Exception as error:  # Of many file systems.
    raise UserError(
      f'The file cannot be read ({quoted(error, 120)}).'
    ) from None
  with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, 'image' + file.suffix)
    file.write_bytes(content)
    yield file


def _by_class(
  result: MonitorResult, names: Sequence[str]
) -> dict[str, tuple[int, float, int]]:
  """Pixels, sum of P(wrong) and flagged pixels of each predicted class."""
  labels = result.labels.reshape(-1)
  count = len(names)
  pixels = np.bincount(labels, minlength=count)
  failure = np.bincount(labels, result.failure.reshape(-1), minlength=count)
  flagged = np.bincount(labels, result.flagged.reshape(-1), minlength=count)
  return {
    name: (int(pixels[i]), float(failure[i]), int(flagged[i]))
    for i, name in enumerate(names)
    if pixels[i]
  }


def class_sums(entry: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
  """(class, [images, pixels, sum of P(wrong), flagged pixels, regions])."""
  regions: dict[str, int] = {}
  for segment in entry['segments']:
    regions[segment['class']] = regions.get(segment['class'], 0) + 1
  for name, (pixels, failure, flagged) in entry['classes'].items():
    numbers = (1, pixels, failure, flagged, regions.get(name, 0))
    yield name, np.array(numbers, np.float64)


def class_row(found: tuple[str, np.ndarray]) -> dict[str, Any]:
  """A row of the class statistics."""
  name, (images, pixels, failure, flagged, regions) = found
  return {
    'class': name,
    'images': int(images),
    'pixels': int(pixels),
    'failure_mean': float(failure / pixels),
    'flagged_share': float(flagged / pixels),
    'regions': int(regions),
  }


def group_values(
  entry: Mapping[str, Any],
) -> tuple[str, tuple[float, ...]]:
  """(group, statistics in the order of their names)."""
  return entry['group'], tuple(entry['statistics'][n] for n in statistics.NAMES)


class TestShift(beam.DoFn):
  """Whether a group's images are like those that were calibrated on."""

  # pytest takes classes of this name for tests.
  __test__ = False

  def __init__(self, reference: Mapping[str, Sequence[float]]):
    """Takes the statistics of the calibration images."""
    super().__init__()
    self._reference = {name: list(own) for name, own in reference.items()}

  def process(
    self, found: tuple[str, Iterable[tuple[float, ...]]]
  ) -> Iterator[dict[str, Any]]:
    """Tests a group; small ones are left out."""
    group, values = found
    # Beam gives them in any order; the test does not ask for one.
    table = np.array(list(values), np.float64)
    if len(table) < _FEWEST:
      return
    own = dict(zip(statistics.NAMES, table.T))
    tested = shift.compare(self._reference, own)
    yield {
      'group': group,
      'images': len(table),
      'p_value': tested.p_value,
      'statistic': tested.statistic,
      'shift': tested.found(),
    }


def as_line(value: Mapping[str, Any]) -> str:
  """A row as JSON."""
  return json.dumps(value, allow_nan=False)


def for_parquet(row: Mapping[str, Any]) -> dict[str, Any]:
  """A row of the triage as a table of columns has it: a box as text."""
  return {**row, 'largest_region': rows.as_text(row['largest_region'])}
