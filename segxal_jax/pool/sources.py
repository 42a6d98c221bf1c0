"""The pool as sources of training data.

Here an oracle's answer becomes training data: `labelled_source` pairs the
images of a cycle's labelled pool with the labels that the ledger accepted.
Sources pickle as the pool's source and lists of files or indices, so that
loader processes read images and annotations themselves.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from common_lib.class_table import VOID
from input_pipeline.sources import Source
from segxal_jax.pool.annotation_files import read_annotation
from segxal_jax.pool.ledger import Ledger


def labelled_source(
  pool: Source, ledger: Ledger, cycle: int, with_unlabelled: bool = False
) -> Source:
  """What a cycle trains on: images of the pool under their accepted labels.

  The ground truth of the pool is never among it: an image's label is that of
  its last annotation which a selection before the cycle has accepted.

  Args:
    pool: all images, D^L and D^U.
    ledger: of the annotations.
    cycle: of the loop, from 1.
    with_unlabelled: whether every other image is one of D^U under void
      labels, for learners that use both.

  Raises:
    UserError: when an image is read whose annotation is damaged.
  """
  labelled = ledger.labelled(cycle)
  annotated = AnnotatedSource(
    pool,
    [
      (index, str(ledger.path(annotation)), annotation.sha256)
      for index, annotation in labelled.items()
    ],
    ledger.num_classes,
  )
  if not with_unlabelled:
    return annotated
  rest = [index for index in range(len(pool)) if index not in labelled]
  return HalfUnlabelled(annotated, pool, rest)


class Subset:
  """Some scenes of a source, in a given order, as a `Source`."""

  def __init__(self, source: Source, indices: Sequence[int]):
    """Takes indices into `source`."""
    self._source = source
    self._indices = tuple(map(int, indices))

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[self._indices[index]]


class LabelledFirst:
  """A pool of which only the first images have labels: D^L, then D^U.

  Attributes:
    num_labelled: images that have one; the label of all others is void.
  """

  def __init__(self, labelled: Source | None, unlabelled: Source):
    """Takes both parts; None where no image has a label yet."""
    self._labelled = labelled
    self._unlabelled = unlabelled
    self.num_labelled = 0 if labelled is None else len(labelled)

  def __len__(self) -> int:
    return self.num_labelled + len(self._unlabelled)

  def __getitem__(self, index: int) -> dict[str, Any]:
    if self._labelled is not None and index < self.num_labelled:
      return self._labelled[index]
    return self._unlabelled[index - self.num_labelled]


def has_truth(pool: Source, index: int) -> bool:
  """Whether the data set says what is right of an image."""
  return not isinstance(pool, LabelledFirst) or index < pool.num_labelled


class AnnotatedSource:
  """The labelled pool as a `Source`: the pool's images, the oracle's labels."""

  def __init__(
    self,
    source: Source,
    files: Sequence[tuple[int, str, str]],
    num_classes: int,
  ):
    """Takes an index into `source`, an annotation's file and its SHA-256."""
    self._num_classes = num_classes
    self._source = source
    self._files = tuple(files)

  def __len__(self) -> int:
    return len(self._files)

  def __getitem__(self, index: int) -> dict[str, Any]:
    of_pool, file, sha256 = self._files[index]
    scene = dict(self._source[of_pool])
    scene['label'] = read_annotation(
      Path(file),
      sha256,
      of=str(scene.get('id')),
      num_classes=self._num_classes,
    )[0]
    return scene


class HalfUnlabelled:
  """Labelled and unlabelled images in turn; the shorter list is repeated.

  Unlabelled images have void labels: their ground truth does not leave this
  class.
  """

  def __init__(self, labelled: Source, pool: Source, unlabelled: Sequence[int]):
    """Takes the labelled images, the pool, and the indices of D^U in it."""
    self._labelled = labelled
    self._pool = pool
    self._unlabelled = tuple(map(int, unlabelled))

  def __len__(self) -> int:
    if not self._unlabelled:
      return len(self._labelled)
    return 2 * max(len(self._labelled), len(self._unlabelled))

  def __getitem__(self, index: int) -> dict[str, Any]:
    if not self._unlabelled:
      return self._labelled[index]
    number, unlabelled = divmod(index, 2)
    if not unlabelled:
      return self._labelled[number % len(self._labelled)]
    of_pool = self._unlabelled[number % len(self._unlabelled)]
    scene = dict(self._pool[of_pool])
    scene['label'] = np.full_like(scene['label'], VOID)
    return scene
