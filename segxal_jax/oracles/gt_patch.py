"""Ground truth pasted into doubtful patches: the authors' machine oracle.

The paper calls its answers pseudo-labels. They are ground truth, so they are
called so and paid for.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common_lib.class_table import VOID
from segxal_jax.oracles.base import fill
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries import regions
from segxal_jax.queries.types import Answer, Question


class GroundTruthPatches:
  """Pastes the truth into patches above the image's mean + deviation."""

  name = 'gt_patch'
  title = 'ground truth in patches'
  needs_truth = True
  where = ''

  def __init__(
    self,
    patch: int = 8,
    rest: str = 'prediction',
    min_confidence: float = 0.9,
  ):
    """Takes the patches' side in pixels; for the rest see `fill`."""
    self._patch = patch
    self._rest, self._min_confidence = rest, min_confidence

  @classmethod
  def create(
    cls, options: ConfigDict, seed: int, folder: Path | None
  ) -> 'GroundTruthPatches':
    """See `Oracle`."""
    del seed, folder
    return cls(options.patch, options.rest, options.min_confidence)

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(self, question: Question, truth: np.ndarray | None) -> Answer:
    """See `Oracle`; a click for each class of each patch."""
    assert truth is not None  # `needs_truth` asks for it.
    patches = regions.patches(truth.shape, self._patch)
    selected = regions.doubtful(question.eem, patches, question.usable)
    pasted = np.isin(patches, selected) & question.usable
    label = fill(question, self._rest, self._min_confidence)
    label[pasted] = truth[pasted]
    asked = pasted & (truth != VOID)
    pairs = np.unique(patches[asked].astype(np.int64) * 256 + truth[asked])
    return Answer(label, asked, Cost(1, int(asked.sum()), len(pairs)))
