"""A person who names the classes of exactly the selected pixels.

No outline is drawn: a pixel is one click (PixelPick), a small square one click
for each class in it (as RIPU's budget of pixels or regions supposes).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from common_lib import random_streams
from common_lib.class_table import VOID
from segxal_jax.oracles.base import fill
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.types import Answer, Question


class SparseHuman:
  """The ground truth of the selected regions and of nothing else."""

  name = 'sparse_human'
  title = 'simulated human (selected pixels)'
  needs_truth = True
  where = ''

  def __init__(
    self,
    *,
    seed: int = 0,
    wrong_class: float = 0.0,
    rest: str = 'prediction',
    min_confidence: float = 0.9,
  ):
    """Describes the person.

    Args:
      seed: of the mistakes.
      wrong_class: probability that a region's pixels of one class get another
        class of the image.
      rest: see `oracles.base.fill`.
      min_confidence: see `oracles.base.fill`.
    """
    self._seed, self._wrong_class = seed, wrong_class
    self._rest, self._min_confidence = rest, min_confidence

  @classmethod
  def create(
    cls, options: ConfigDict, seed: int, folder: Path | None = None
  ) -> 'SparseHuman':
    """See `Oracle`."""
    del folder
    return cls(
      seed=seed,
      wrong_class=options.wrong_class,
      rest=options.rest,
      min_confidence=options.min_confidence,
    )

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(
    self, question: Question, truth: UInt8[np.ndarray, 'h w'] | None
  ) -> Answer:
    """See `Oracle`; void costs its click but no pixel, and is not learnt."""
    rng = random_streams.generator(
      self._seed, 'sparse_human', question.cycle, question.index
    )
    label = fill(question, self._rest, self._min_confidence)
    assert truth is not None  # `needs_truth` asks for it.
    asked = np.zeros(truth.shape, bool)
    others = np.unique(truth[truth != VOID])
    clicks = 0
    for region in question.regions:
      inside = (question.segments == region.id) & question.usable
      for value in np.unique(truth[inside]):
        clicks += 1
        part = inside & (truth == value)
        label[part] = self._named(value, others, rng)
        asked |= part & (truth != VOID)
    return Answer(label, asked, Cost(1, int(asked.sum()), clicks))

  def _named(
    self, value: np.uint8, others: np.ndarray, rng: np.random.Generator
  ) -> np.uint8:
    """The class that the person names."""
    if value == VOID or not self._wrong_class:
      return value
    wrong = others[others != value]
    if rng.random() >= self._wrong_class or not wrong.size:
      return value
    return rng.choice(wrong)
