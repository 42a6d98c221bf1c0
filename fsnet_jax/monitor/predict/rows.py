"""One row an image: what a triage is sorted by."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from common_lib.class_table import ClassTable
from fsnet_jax.monitor import statistics
from fsnet_jax.monitor.monitor import MonitorResult
from fsnet_jax.monitor.predict import segments
from fsnet_jax.monitor.predict.inputs import Item

COLUMNS = (
  'image',
  'height',
  'width',
  'failure_mean',
  'failure_q90',
  'flagged_share',
  'largest_region',
  'largest_region_class',
  'expected_error',
  'shift_p',
  'milliseconds',
  'problem',
)
SEGMENT_COLUMNS = (
  'image',
  'class',
  'box',
  'area',
  'failure_mean',
  'depth_m',
)


@dataclasses.dataclass(frozen=True)
class Entry:
  """All that is kept of an image; JSON holds it as it is.

  Attributes:
    row: by `COLUMNS`; None where there is nothing to say.
    name: of its files.
    group: its folder below the input.
    stamp: of its file.
    statistics: by `statistics.NAMES`; empty where the image has a problem.
    segments: each by `SEGMENT_COLUMNS`.
    files: bytes of each file that was written of it, by folder.
  """

  row: Mapping[str, Any]
  name: str
  group: str
  stamp: Sequence[int]
  statistics: Mapping[str, float]
  segments: Sequence[Mapping[str, Any]]
  files: Mapping[str, int]

  @property
  def problem(self) -> str:
    """Why there is no prediction; '' where there is one."""
    return self.row['problem']

  def is_of(self, item: Item) -> bool:
    """Whether it is of an image as it is now: its name and its file."""
    return self.name == item.name and list(self.stamp) == list(item.stamp)


def with_problem(item: Item, problem: str) -> Entry:
  """Of an image that could not be read."""
  row: dict[str, Any] = dict.fromkeys(COLUMNS)
  row |= {'image': item.image, 'problem': problem}
  return Entry(row, item.name, item.group, list(item.stamp), {}, [], {})


def of_image(
  item: Item,
  image: np.ndarray,
  result: MonitorResult,
  classes: ClassTable,
  segment_share: float,
  reference: Sequence[float] | None,
  depth: np.ndarray | None = None,
) -> Entry:
  """Of what a monitor says of one image; times and files come later.

  Args:
    item: the image.
    image: uint8 [1 h w 3].
    result: for it alone.
    classes: of the labels.
    segment_share: of an image's pixels, that a segment has at least.
    reference: `failure_mean` of calibration images; None without any.
    depth: float32 [h w], metres, NaN = no measurement; None without any.
  """
  labels, failure = result.labels[0], result.failure[0]
  flagged = result.flagged[0]
  numbers = {
    name: float(own[0])
    for name, own in statistics.of_images(
      image, result, classes.num_classes
    ).items()
  }
  largest, listed = segments.find(
    labels, failure, flagged, segment_share, depth
  )
  passing = failure[~flagged]
  row: dict[str, Any] = dict.fromkeys(COLUMNS)
  row |= {
    'image': item.image,
    'height': labels.shape[0],
    'width': labels.shape[1],
    'failure_mean': numbers['failure_mean'],
    'failure_q90': numbers['failure_q90'],
    'flagged_share': numbers['flagged_share'],
    'expected_error': (
      float(passing.mean(dtype=np.float64)) if passing.size else 0.0
    ),
    'shift_p': shift_p(numbers['failure_mean'], reference),
    'problem': '',
  }
  if largest is not None:
    row['largest_region'] = list(largest.box)
    row['largest_region_class'] = classes.name(largest.label)
  found = [_segment_row(item.image, one, classes) for one in listed]
  return Entry(row, item.name, item.group, list(item.stamp), numbers, found, {})


def _segment_row(
  image: str, segment: segments.Segment, classes: ClassTable
) -> dict[str, Any]:
  values = (
    image,
    classes.name(segment.label),
    list(segment.box),
    segment.area,
    segment.failure_mean,
    segment.depth_m,
  )
  return dict(zip(SEGMENT_COLUMNS, values))


def shift_p(value: float, reference: Sequence[float] | None) -> float | None:
  """Conformal p-value of an image: small where few images look as uncertain.

  Args:
    value: its `failure_mean`.
    reference: those of calibration images; None without any.
  """
  if reference is None:
    return None
  larger = int((np.asarray(reference) >= value).sum())
  return (1 + larger) / (len(reference) + 1)


def as_text(value: Any) -> str:
  """A value as a CSV has it: a box as 'left top width height'."""
  if value is None:
    return ''
  if isinstance(value, list | tuple):
    return ' '.join(map(str, value))
  return str(value)


def worst_first(entry: Entry) -> tuple[bool, float, str]:
  """What entries are sorted by: those with a problem come last."""
  mean = entry.row['failure_mean']
  return bool(entry.problem), -(mean or 0.0), entry.row['image']
