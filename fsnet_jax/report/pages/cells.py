"""Numbers and intervals as the templates of a report take them."""

from collections.abc import Mapping, Sequence
from typing import Any

from fsnet_jax.report import measures


def cell(
  value: measures.Value, measure: measures.Measure, best: bool = False
) -> dict[str, Any]:
  """Returns one number of a table."""
  return {
    'text': measures.format_value(value, measure),
    'defined': value is not None,
    'best': best,
  }


def row_cells(
  rows: Sequence[Mapping[str, measures.Value]],
  columns: Sequence[measures.Measure],
) -> list[list[dict[str, Any]]]:
  """Returns the numbers of a table, the best of each column marked."""
  best = [
    measures.best_in_column([row.get(column.key) for row in rows], column)
    for column in columns
  ]
  return [
    [
      cell(row.get(column.key), column, best[position][index])
      for position, column in enumerate(columns)
    ]
    for index, row in enumerate(rows)
  ]


def interval_cell(
  interval: Mapping[str, Any] | None, key: str
) -> dict[str, str]:
  """Returns a difference as text, and whether it is more than chance."""
  measure = measures.BY_KEY[key]
  if interval is None:
    return {'text': measures.UNDEFINED, 'outcome': 'unknown'}
  return {
    'text': measures.format_interval(interval, measure),
    'outcome': measures.outcome(interval, measure),
  }
