"""`triage.csv`, `segments.csv`, and the same as JSON lines."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pathlib
from collections.abc import Generator, Iterable
from typing import IO

from fsnet_jax.monitor.predict.rows import (
  COLUMNS,
  SEGMENT_COLUMNS,
  Entry,
  as_text,
)

TRIAGE, SEGMENTS = 'triage', 'segments'


def write(output: pathlib.Path, entries: Iterable[Entry]) -> None:
  """Writes the four tables; older ones are replaced when they are whole.

  Args:
    output: the folder.
    entries: in the order of the rows; read once.
  """
  with contextlib.ExitStack() as stack:
    triage = stack.enter_context(_table(output, TRIAGE, COLUMNS))
    segments = stack.enter_context(_table(output, SEGMENTS, SEGMENT_COLUMNS))
    for entry in entries:
      triage.add(entry.row)
      for segment in entry.segments:
        segments.add(segment)


class _Table:
  """Rows as CSV and as JSON lines."""

  def __init__(self, columns: tuple[str, ...], text: IO[str], lines: IO[str]):
    self._columns = columns
    self._csv, self._lines = csv.writer(text, lineterminator='\n'), lines
    self._csv.writerow(columns)

  def add(self, row) -> None:
    # Columns that are newer than an entry of the journal are empty.
    values = [row.get(name) for name in self._columns]
    self._csv.writerow([as_text(value) for value in values])
    pairs = dict(zip(self._columns, values))
    self._lines.write(json.dumps(pairs, allow_nan=False) + '\n')


@contextlib.contextmanager
def _table(
  output: pathlib.Path, name: str, columns: tuple[str, ...]
) -> Generator[_Table]:
  with (
    _replaced(output / f'{name}.csv') as text,
    _replaced(output / f'{name}.jsonl') as lines,
  ):
    yield _Table(columns, text, lines)


@contextlib.contextmanager
def _replaced(path: pathlib.Path) -> Generator[IO[str]]:
  """A file that is put in its place at the end."""
  scratch = path.with_name(f'.{path.name}.partial')
  try:
    # A name that is no UTF-8 is shown with a question mark.
    with scratch.open('w', encoding='utf-8', errors='replace') as file:
      yield file
    os.replace(scratch, path)
  finally:
    scratch.unlink(missing_ok=True)
