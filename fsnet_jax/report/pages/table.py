"""A table that any page can show, and it as text and as Markdown."""

import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

# How the head of a column with the paper's numbers begins: with the data set
# that they are of, where that is not clear.
_PAPER = re.compile(r'paper( \(.*?\))?: ')


class Cell(NamedTuple):
  """A cell: what it says, whether it is the best, whether it is the paper's."""

  text: str
  best: bool = False
  theirs: bool = False


class Table(NamedTuple):
  """A table.

  Attributes:
    title: what it shows.
    columns: heads; the first is that of the rows' names.
    blocks: heading of each block of rows, and its rows.
    notes: what a reader must know.
  """

  title: str
  columns: Sequence[str]
  blocks: Sequence[tuple[str, Sequence[Sequence[Cell]]]]
  notes: Sequence[str] = ()


def as_text(table: Table, paper: bool = True) -> str:
  """The table in aligned columns; `*` marks the best of a column.

  Args:
    table: to print.
    paper: whether to keep the columns with the paper's numbers.
  """
  keep = [
    index
    for index, head in enumerate(table.columns)
    if paper or not _PAPER.match(head)
  ]
  rows = [row for _, block in table.blocks for row in block]
  widths = [
    max([len(_head(table.columns[i])), *(len(_plain(r[i])) for r in rows)])
    for i in keep
  ]
  lines = [table.title, '']
  heads = [_head(table.columns[i]) for i in keep]
  lines.append(_line(heads, widths))
  for heading, block in table.blocks:
    if heading:
      lines += ['', heading]
    lines += [_line([_plain(row[i]) for i in keep], widths) for row in block]
  notes = [
    textwrap.fill(note, 100, initial_indent='- ', subsequent_indent='  ')
    for note in table.notes
  ]
  return '\n'.join([*lines, '', *notes])


def _head(title: str) -> str:
  return _PAPER.sub('p. ', title)


def _plain(cell: Cell) -> str:
  return cell.text + ('*' if cell.best else ' ')


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
  first, *rest = [
    cell.ljust(width) if place == 0 else cell.rjust(width)
    for place, (cell, width) in enumerate(zip(cells, widths))
  ]
  return '  '.join([first, *rest]).rstrip()


def as_markdown(table: Table) -> str:
  """The table in Markdown, a table for each block; the best is bold."""
  lines = [f'### {table.title}', '']
  for heading, block in table.blocks:
    if heading:
      lines += [f'**{heading}**', '']
    lines.append(f'| {" | ".join(table.columns)} |')
    lines.append('|---|' + '---:|' * (len(table.columns) - 1))
    for row in block:
      cells = [f'**{c.text}**' if c.best else c.text for c in row]
      lines.append(f'| {" | ".join(cells)} |')
    lines.append('')
  return '\n'.join([*lines, *(f'- {note}' for note in table.notes), ''])
