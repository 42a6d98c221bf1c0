"""What an oracle is: it answers a question about an image with labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from ml_collections import ConfigDict

from common_lib.class_table import VOID
from segxal_jax.queries.types import Answer, Question


@runtime_checkable
class Oracle(Protocol):
  """Answers questions about images.

  Attributes:
    name: key in `ORACLES` and in the ledger.
    title: how reports call it.
    needs_truth: whether it may see the data set's ground truth. One that
      does not never gets it.
  """

  name: str
  title: str
  needs_truth: bool

  @property
  def where(self) -> str:
    """The address at which people answer; '' if it answers by itself."""
    ...

  @classmethod
  def create(
    cls, options: ConfigDict, seed: int, folder: Path | None
  ) -> 'Oracle':
    """From `config.oracle` and the run's seed.

    Args:
      options: `config.oracle`.
      seed: of the run.
      folder: where it may keep what it must remember from start to start;
        None only checks the options.

    Raises:
      UserError: it cannot work like this.
    """
    ...

  def publish(self, questions: Sequence[Question]) -> None:
    """Shows a cycle's questions to whoever answers them.

    Called with those that are still open, before any `answer` to them, and
    again after an interruption or a while of waiting: what is already
    published must not be published twice.

    Raises:
      Interrupted: no answerer can be reached now.
    """
    ...

  def answer(
    self, question: Question, truth: UInt8[np.ndarray, 'h w'] | None
  ) -> Answer | None:
    """Answers one question; the same question gets the same answer.

    Args:
      question: about one image.
      truth: the ground truth if `needs_truth`, else None.

    Returns:
      The answer, or None if there is none yet: the loop then saves and
      stops, and repeats the question when it is resumed.
    """
    ...


def fill(
  question: Question, rest: str, min_confidence: float
) -> UInt8[np.ndarray, 'h w']:
  """The label outside the regions that the oracle answers for.

  Args:
    question: about the image.
    rest: 'prediction' keeps the network's classes (the paper's re-annotated
      mask), 'confident' keeps it where its probability is at least
      `min_confidence`, 'void' keeps nothing.
    min_confidence: of 'confident'.

  Raises:
    ValueError: another value.
  """
  if rest == 'prediction':
    return question.prediction.copy()
  if rest == 'void':
    return np.full_like(question.prediction, VOID)
  if rest != 'confident':
    raise ValueError(f'unknown oracle.rest {rest!r}')
  sure = question.confidence >= min_confidence
  return np.where(sure, question.prediction, VOID).astype(np.uint8)
