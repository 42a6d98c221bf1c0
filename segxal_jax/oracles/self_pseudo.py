"""The network's own confident labels: free, and as good as the network."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from segxal_jax.oracles.base import fill
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.types import Answer, Question


class SelfPseudo:
  """Confident predictions, void outside them; no ground truth."""

  name = 'self_pseudo'
  title = "the network's own confident labels"
  needs_truth = False
  where = ''

  def __init__(self, min_confidence: float = 0.9):
    """Takes the probability from which a label is kept."""
    self._min_confidence = min_confidence

  @classmethod
  def create(
    cls, options: ConfigDict, seed: int, folder: Path | None
  ) -> 'SelfPseudo':
    """See `Oracle`."""
    del seed, folder
    return cls(options.min_confidence)

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(self, question: Question, truth: np.ndarray | None) -> Answer:
    """See `Oracle`; it costs nothing."""
    del truth
    label = fill(question, 'confident', self._min_confidence)
    return Answer(label, np.zeros(label.shape, bool), Cost())
