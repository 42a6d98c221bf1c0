"""Part of a data set, for experiments on how much data is enough."""

from typing import Any

from input_pipeline.datasets.base import Source


class EvenSubset:
  """Every n-th scene of a source, or nearly so; a source itself.

  Evenly spaced rather than the first ones, so that every sequence of a data
  set of clips is in it.
  """

  def __init__(self, source: Source, fraction: float):
    """Keeps `round(fraction * len(source))` scenes, at least one.

    Args:
      source: the whole.
      fraction: share to keep, over 0 and up to 1.
    """
    count = max(1, round(fraction * len(source)))
    self._source = source
    self._indices = [i * len(source) // count for i in range(count)]

  def __len__(self) -> int:
    return len(self._indices)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._source[self._indices[index]]
