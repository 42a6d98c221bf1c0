"""Labels whole images: what active learning's baselines pay for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from common_lib.class_table import VOID
from segxal_jax.oracles import costs
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.types import Answer, Question


def whole_image(truth: np.ndarray) -> Answer:
  """The ground truth of an image, charged in full."""
  asked = truth != VOID
  cost = Cost(1, int(asked.sum()), costs.label_clicks(truth))
  return Answer(truth.copy(), asked, cost)


class FullImage:
  """The ground truth, whatever the selected regions."""

  name = 'full_image'
  title = 'whole image (ground truth)'
  needs_truth = True
  where = ''

  @classmethod
  def create(
    cls, options: ConfigDict, seed: int, folder: Path | None
  ) -> 'FullImage':
    """See `Oracle`."""
    del options, seed, folder
    return cls()

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(self, question: Question, truth: np.ndarray | None) -> Answer:
    """See `Oracle`."""
    del question
    assert truth is not None  # `needs_truth` asks for it.
    return whole_image(truth)
