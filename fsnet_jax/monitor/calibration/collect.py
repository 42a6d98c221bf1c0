"""P(wrong) and errors of labelled images, one pass of the monitor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from common_lib.class_table import VOID
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend, Scores
from input_pipeline.sources import Source


@dataclasses.dataclass(frozen=True)
class Labelled:
  """An image, what a monitor says of it, and what is true.

  Attributes:
    id: of the image.
    image: uint8 [h w 3].
    labels: uint8 [h w], predicted.
    score: float32 [h w].
    probability: float32 [h w] as the detector has it, or None.
    wrong: bool [h w], misclassified; False on void.
    valid: bool [h w], labelled.
  """

  id: str
  image: np.ndarray
  labels: np.ndarray
  score: np.ndarray
  probability: np.ndarray | None
  wrong: np.ndarray
  valid: np.ndarray


def labelled(
  backend: CheckpointBackend,
  source: Source,
  indices: Sequence[int],
  check: Callable[[], None],
) -> Iterator[Labelled]:
  """Images of a source one after the other, looked at a batch at a time.

  Args:
    backend: of the run.
    source: its scenes have labels.
    indices: of the images that are wanted, in this order.
    check: called between batches; raises to stop.
  """
  for start in range(0, len(indices), backend.batch_size):
    part = indices[start : start + backend.batch_size]
    scenes = [source[index] for index in part]
    images = np.stack([np.asarray(scene['image']) for scene in scenes])
    said = backend.scores(images)
    for row, scene in enumerate(scenes):
      yield _one(scene, images[row], said, row)
    check()


def _one(
  scene: dict[str, Any], image: np.ndarray, said: Scores, row: int
) -> Labelled:
  truth = np.asarray(scene['label'])
  valid = truth != VOID
  probability = None if said.probability is None else said.probability[row]
  return Labelled(
    id=str(scene['id']),
    image=image,
    labels=said.labels[row],
    score=said.score[row],
    probability=probability,
    wrong=(said.labels[row] != truth) & valid,
    valid=valid,
  )
