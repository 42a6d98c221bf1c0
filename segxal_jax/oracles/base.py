"""What an oracle is: it is asked about an image and answers with labels."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int32, UInt8

from common_lib.class_table import VOID
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.regions import Region


@dataclasses.dataclass(frozen=True)
class Question:
  """What an oracle gets to see of one image.

  Attributes:
    cycle: of the loop.
    index: place in the pool.
    id: name of the image.
    image: RGB.
    prediction: classes that the network gave.
    confidence: probability of those classes.
    eem: the error mask, in [0, 1], higher = look here.
    usable: False on the ego vehicle: nobody is asked about it.
    segments: numbers of the regions that the image is cut into.
    regions: those that are asked about, most doubtful first, each with its
      prompt point.
    parts: what `eem` is the weighted mean of, weights included: 'proximity',
      'entropy' and 'failure', those that have a weight; empty where the
      strategy points by another map.
  """

  cycle: int
  index: int
  id: str
  image: UInt8[np.ndarray, 'h w 3']
  prediction: UInt8[np.ndarray, 'h w']
  confidence: Float[np.ndarray, 'h w']
  eem: Float[np.ndarray, 'h w']
  usable: Bool[np.ndarray, 'h w']
  segments: Int32[np.ndarray, 'h w']
  regions: Sequence[Region]
  parts: Mapping[str, Float[np.ndarray, '_h _w']] = dataclasses.field(
    default_factory=dict
  )


@dataclasses.dataclass(frozen=True)
class Answer:
  """What an oracle says.

  Attributes:
    label: classes, 255 = void: nothing is learnt there.
    asked: pixels whose label comes from the oracle; the rest is whatever
      `fill` made of the network's own prediction.
    cost: see `pool.Cost`.
  """

  label: UInt8[np.ndarray, 'h w']
  asked: Bool[np.ndarray, 'h w']
  cost: Cost


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
  def create(cls, options: Any, seed: int, folder: Path | None) -> 'Oracle':
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
      Interrupted: nobody can be reached now.
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
      The answer, or None if it is not there yet: the loop then saves and
      stops, and asks again when it is run again.
    """
    ...


def fill(
  question: Question, rest: str, min_confidence: float
) -> UInt8[np.ndarray, 'h w']:
  """What stands where the oracle is not asked.

  Args:
    question: about the image.
    rest: 'prediction' keeps what the network said (the paper's re-annotated
      mask), 'confident' keeps it where its probability is at least
      `min_confidence`, 'void' keeps nothing.
    min_confidence: of 'confident'.

  Raises:
    ValueError: another word.
  """
  if rest == 'prediction':
    return question.prediction.copy()
  if rest == 'void':
    return np.full_like(question.prediction, VOID)
  if rest != 'confident':
    raise ValueError(f'unknown oracle.rest {rest!r}')
  sure = question.confidence >= min_confidence
  return np.where(sure, question.prediction, VOID).astype(np.uint8)
