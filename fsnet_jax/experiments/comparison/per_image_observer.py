"""Looks on during the evaluation pass: segments and one example."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from fsnet_jax.metrics.ranking import BUDGETS
from fsnet_jax.metrics.segments import SegmentSums, sums_at_budgets
from fsnet_jax.report.figures.examples import Example
from fsnet_jax.runtime import mesh as mesh_lib


class DatasetObserver:
  """One data set's observer; call it as `evaluate.Observer` says.

  Attributes:
    example: the image in the middle of the data set, chosen by nothing but
      its place, without a letterbox's bars once `share_example` was called;
      None until this process has seen it, if it ever does.
  """

  def __init__(self, source_length: int, segment_images: int):
    """Begins with nothing.

    Args:
      source_length: number of images that will come.
      segment_images: how many of them, evenly spaced, are cut into segments,
        which is done on the host; 0 = none.
    """
    count = min(segment_images, source_length)
    self._in_segments = {
      place * source_length // count for place in range(count)
    }
    self._shown = source_length // 2
    self._title = f'image {self._shown}'
    self._detectors: tuple[str, ...] = ()
    self._segments: dict[str, dict[str, SegmentSums]] = {}
    self.example: Example | None = None
    self._size: tuple[int, ...] = ()
    self._content = np.zeros(4, np.int32)

  def __call__(
    self, batch: Mapping[str, np.ndarray], maps: Mapping[str, Any]
  ) -> None:
    """Takes a batch of this process and the maps of the whole batch."""
    self._size = batch['label'].shape[1:]
    self._detectors = tuple(maps['score'])
    rows = [
      row
      for row, place in enumerate(batch['index'])
      if int(place) in self._in_segments or int(place) == self._shown
    ]
    if rows:
      local = jax.tree.map(mesh_lib.local_rows, dict(maps))
      for row in rows:
        self._look_at(row, batch, local)

  def segments(self) -> dict[str, dict[str, dict[str, Any]]]:
    """By detector and review budget, the metrics of `SegmentSums.compute`.

    Every process must call it.
    """
    return {
      name: {
        budget: _over_processes(
          self._segments.get(name, {}).get(budget, SegmentSums.empty())
        ).compute()
        for budget in BUDGETS
      }
      for name in self._detectors
    }

  def share_example(self) -> None:
    """Gives the example to every process; every process must call it."""
    if jax.process_count() > 1 and self._detectors:
      self._gather_example()
    if self.example is not None:
      self.example = self.example.cropped(self._content)
      self._content = _whole(self.example.valid)

  def _gather_example(self) -> None:
    example = self.example or self._blank()
    own = dataclasses.asdict(example) | {
      'seen': self.example is not None,
      'content': self._content,
    }
    del own['id']
    everyones = multihost_utils.process_allgather(jax.tree.map(np.asarray, own))
    seen = np.flatnonzero(everyones.pop('seen'))
    if len(seen):
      parts = jax.tree.map(lambda one: np.asarray(one[seen[0]]), everyones)
      self._content = parts.pop('content')
      self.example = Example(id=self._title, **parts)

  def _blank(self) -> Example:
    """An example of the right shapes."""
    nothing = np.zeros(self._size, np.uint8)
    return Example(
      id='',
      image=np.zeros((*self._size, 3), np.uint8),
      label=nothing,
      prediction=nothing,
      valid=nothing.astype(bool),
      failure={n: nothing.astype(np.float32) for n in self._detectors},
    )

  def _look_at(
    self, row: int, batch: Mapping[str, np.ndarray], maps: Mapping[str, Any]
  ) -> None:
    """Segments and example of one image."""
    label, valid = batch['label'][row], maps['valid'][row]
    prediction = maps['prediction'][row]
    scores = {name: score[row] for name, score in maps['score'].items()}
    place = int(batch['index'][row])
    content = batch['content'][row] if 'content' in batch else _whole(label)
    if place in self._in_segments:
      # Segments are sifted by their share of the image, bars left aside.
      top, left, bottom, right = content
      inside = slice(top, bottom), slice(left, right)
      own = sums_at_budgets(
        [score[inside] for score in scores.values()],
        (prediction != label)[inside],
        valid[inside],
        [float(budget) for budget in BUDGETS],
      )
      for name, of_map in zip(scores, own):
        sums = self._segments.setdefault(name, {})
        for budget, one in zip(BUDGETS, of_map):
          sums[budget] = sums.get(budget, SegmentSums.empty()).merge(one)
    if place == self._shown:
      image = batch['image'][row]
      self._content = content
      self.example = Example(
        self._title, image, label, prediction, valid, scores
      )


def _whole(label: np.ndarray) -> np.ndarray:
  """`base.Source`'s 'content' of a scene without bars."""
  return np.array((0, 0, *label.shape), np.int32)


def _over_processes(sums: SegmentSums) -> SegmentSums:
  if jax.process_count() == 1:
    return sums
  gathered = multihost_utils.process_allgather(sums.to_array())
  return SegmentSums.from_array(np.asarray(gathered).sum(axis=0))


def rivals(names: Sequence[str], count: int = 2) -> list[str]:
  """The detectors that stand beside FSNet in pictures.

  Args:
    names: of all detectors.
    count: how many to choose: SynthCP, which is what the paper shows, and
      what needs no training, before others.
  """
  order = ('synthcp_msp', 'msp', 'mc_dropout', 'direct', 'tcp')
  others = [
    name for name in names if name not in order and not name.startswith('fsnet')
  ]
  return [*(name for name in order if name in names), *others][:count]
