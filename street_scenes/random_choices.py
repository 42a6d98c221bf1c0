"""Random decisions of one scene, reproducible in every process."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np

from street_scenes.types import Color, Number, Span


class Dice:
  """A stream of random decisions that depends on its key alone.

  `random.Random.random` is several times faster than a numpy generator for the
  thousands of single numbers of a scene, and its stream is fixed by the
  language. Everything below is derived from it.
  """

  def __init__(self, *key: int):
    """Starts the stream.

    Args:
      key: non-negative integers, for example (seed, split, index, purpose).
    """
    # With the length: the sequence ignores zeros at the end of short keys.
    words = np.random.SeedSequence((len(key), *key)).generate_state(4)
    self._random = random.Random(int.from_bytes(words.tobytes(), 'little'))
    self.random = self._random.random

  def uniform(self, low: Number, high: Number) -> float:
    """Returns a float in [low, high)."""
    return low + (high - low) * self.random()

  def span(self, bounds: Span) -> float:
    """Returns a float in [bounds[0], bounds[1])."""
    return bounds[0] + (bounds[1] - bounds[0]) * self.random()

  def chance(self, probability: Number) -> bool:
    """Returns True with this probability."""
    return self.random() < probability

  def below(self, count: int) -> int:
    """Returns an integer in 0 .. count - 1."""
    return int(self.random() * count)

  def pick(self, choices: Sequence[Any]) -> Any:
    """Returns one of the choices, all equally likely."""
    return choices[int(self.random() * len(choices))]

  def weighted(self, weights: dict[Any, float]) -> Any:
    """Returns one of the keys, with odds in proportion to the values."""
    mark = self.random() * sum(weights.values())
    for choice, weight in weights.items():
      mark -= weight
      if mark < 0:
        return choice
    return choice

  def tint(self, color: Color, amount: Number = 0.06) -> Color:
    """Returns the colour, a little lighter or darker and shifted in hue."""
    random = self.random
    level = 1 + amount * (4 * random() - 2)
    return (
      color[0] * level * (1 + amount * (2 * random() - 1)),
      color[1] * level,
      color[2] * level * (1 + amount * (2 * random() - 1)),
    )
