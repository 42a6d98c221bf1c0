"""A person who outlines the objects that the prompts point at.

Object-level annotation (paper 3.3): each selected region stands for the
objects under it. An object is a connected part of one class of the ground
truth; it is relabelled as a whole if the prompt point lies on it or if it
fills a good part of the region.
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from ml_collections import ConfigDict

from common_lib import random_streams
from common_lib.class_table import VOID
from segxal_jax.oracles import costs
from segxal_jax.oracles.base import fill
from segxal_jax.pool.ledger import Cost
from segxal_jax.queries.regions import Region
from segxal_jax.queries.types import Answer, Question


class SimulatedHuman:
  """Ground-truth objects of the selected regions, with optional noise."""

  name = 'simulated_human'
  title = 'simulated human (objects)'
  needs_truth = True
  where = ''

  def __init__(
    self,
    *,
    seed: int = 0,
    min_share: float = 0.25,
    border_noise_px: int = 0,
    wrong_class: float = 0.0,
    rest: str = 'prediction',
    min_confidence: float = 0.9,
  ):
    """Describes the person.

    Args:
      seed: of the noise.
      min_share: an object that fills this share of a region belongs to it.
      border_noise_px: outlines are off by up to so many pixels.
      wrong_class: probability of naming another class of the image.
      rest: see `fill`.
      min_confidence: see `fill`.
    """
    self._seed = seed
    self._min_share = min_share
    self._border_noise_px = border_noise_px
    self._wrong_class = wrong_class
    self._rest, self._min_confidence = rest, min_confidence

  @classmethod
  def create(
    cls, options: ConfigDict, seed: int, folder: Path | None
  ) -> 'SimulatedHuman':
    """See `Oracle`."""
    del folder
    return cls(
      seed=seed,
      min_share=options.min_share,
      border_noise_px=options.border_noise_px,
      wrong_class=options.wrong_class,
      rest=options.rest,
      min_confidence=options.min_confidence,
    )

  def publish(self, questions: Sequence[Question]) -> None:
    """Nothing to do: it answers at once."""

  def answer(self, question: Question, truth: np.ndarray | None) -> Answer:
    """See `Oracle`; pixels and outlines of the objects as drawn."""
    rng = random_streams.generator(
      self._seed, 'simulated_human', question.cycle, question.index
    )
    label = fill(question, self._rest, self._min_confidence)
    assert truth is not None  # `needs_truth` asks for it.
    asked = np.zeros(truth.shape, bool)
    parts = _objects(truth)
    clicks = 0
    for number in self._wanted(question, truth, parts):
      outline = self._drawn(parts == number, rng) & (truth != VOID)
      value = int(truth[parts == number][0])
      label[outline] = self._named(value, truth, rng)
      asked |= outline
      clicks += costs.outline_clicks(outline)
    return Answer(label, asked, Cost(1, int(asked.sum()), clicks))

  def _wanted(
    self, question: Question, truth: np.ndarray, parts: np.ndarray
  ) -> list[int]:
    """Numbers of the objects to label, each once, in the regions' order."""
    wanted: dict[int, None] = {}
    for region in question.regions:
      wanted |= dict.fromkeys(self._under(region, question.segments, parts))
    return [number for number in wanted if number > 0]

  def _under(
    self, region: Region, segments: np.ndarray, parts: np.ndarray
  ) -> list[int]:
    """Numbers of the objects that a region stands for."""
    inside = parts[segments == region.id]
    counts = np.bincount(inside)
    large = np.flatnonzero(counts >= self._min_share * inside.size)
    return [int(parts[region.row, region.column]), *map(int, large)]

  def _drawn(self, part: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """An object's outline as a hand draws it."""
    if not self._border_noise_px:
      return part
    shift = int(rng.integers(-self._border_noise_px, self._border_noise_px + 1))
    if shift == 0:
      return part
    side = 2 * abs(shift) + 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    change = cv2.dilate if shift > 0 else cv2.erode
    return change(part.astype(np.uint8), brush) > 0

  def _named(
    self, value: int, truth: np.ndarray, rng: np.random.Generator
  ) -> int:
    """The class that the person names."""
    if not self._wrong_class or rng.random() >= self._wrong_class:
      return value
    others = [v for v in np.unique(truth) if v not in (value, VOID)]
    return int(rng.choice(others)) if others else value


def _objects(truth: np.ndarray) -> np.ndarray:
  """Numbers the connected parts of each class from 1; void is 0."""
  parts = np.zeros(truth.shape, np.int32)
  highest = 0
  for value in np.unique(truth[truth != VOID]):
    count, own = cv2.connectedComponents(
      (truth == value).astype(np.uint8), connectivity=8
    )
    parts = np.where(own > 0, own + highest, parts)
    highest += count - 1
  return parts
