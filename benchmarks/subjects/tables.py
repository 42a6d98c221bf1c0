"""Tables for pages of results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
  """A Markdown table."""
  lines = [columns, ['---'] * len(columns), *rows]
  return '\n'.join(
    f'| {" | ".join(str(cell).replace("|", "/") for cell in line)} |'
    for line in lines
  )
