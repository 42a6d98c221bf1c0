"""Of which clip, city or domain the images are that were asked about."""

from __future__ import annotations

import collections
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from input_pipeline.sources import Source

# Images of a pool that are looked at to know its shares.
_SAMPLE = 500
# More are too many to be read side by side.
MOST_SEQUENCES = 12


class Sequences:
  """The sequences of a pool's images, each image read once."""

  def __init__(self, pool: Source):
    """Opens nothing; see `of_pool`."""
    self._size = len(pool)
    self._of: Callable[[int], str] = functools.cache(
      lambda index: str(pool[index]['sequence'])
    )

  def of_pool(self) -> dict[str, float]:
    """Share of each sequence, of up to 500 images evenly spaced, by name."""
    count = min(self._size, _SAMPLE)
    places = np.linspace(0, self._size - 1, count).round().astype(int)
    return _shares(collections.Counter(self._of(int(i)) for i in places))

  def of_questions(self, folders: Sequence[Path]) -> dict[str, float]:
    """Share of each sequence in what was asked; empty where nothing was.

    Args:
      folders: of questions, a file named by the image's index for each.
    """
    indices = [int(file.stem) for f in folders for file in f.glob('*.npz')]
    inside = [index for index in indices if index < self._size]
    return _shares(collections.Counter(map(self._of, inside)))


def _shares(counts: Mapping[str, int]) -> dict[str, float]:
  total = sum(counts.values())
  return {name: counts[name] / total for name in sorted(counts)}
