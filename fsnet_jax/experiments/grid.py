"""A grid of resumable cells: what every experiment of many runs shares.

A cell is a run in a folder of its own, which resumes by itself. So the same
command goes on with the cell that was stopped, runs those that are missing,
and shows those that are done. Folders are relative to the workdir of the
experiment, and so is what the cells' configs say of each other
(`config.run_paths`): it may be moved at any time.
"""

import contextlib
import copy
import dataclasses
import shutil
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

import jax
from ml_collections import ConfigDict

from common_lib.console import say
from common_lib.errors import UserError
from fsnet_jax.runtime.distributed import anywhere, barrier


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
  """One run of a grid.

  Attributes:
    title: the row of the table that it belongs to: a method, or a network.
    number: which run of that row: its seed, or its fold from 0.
    folder: relative to the workdir of the experiment.
    config: of the run, of `derived`.
    unit: what `number` counts.
  """

  title: str
  number: int
  folder: PurePosixPath
  config: ConfigDict
  unit: Literal['seed', 'fold'] = 'seed'

  @property
  def label(self) -> str:
    """How the terminal calls it."""
    shown = self.number + 1 if self.unit == 'fold' else self.number
    return f'{self.title}, {self.unit} {shown}'

  def place(self, workdir: Path) -> Path:
    """Its folder, in the workdir of the experiment."""
    return workdir / self.folder


CellType = TypeVar('CellType', bound=Cell)
Result = TypeVar('Result')
#: What a cell that is done has left in its folder; None where it is not done.
Read = Callable[[CellType, Path], Result | None]
#: Makes a cell, or goes on with it, in its folder; then as `Read`.
Make = Callable[[CellType, Path], Result | None]
#: By title and number.
Results = dict[str, dict[int, Result]]


def derived(
  config: ConfigDict, changes: Mapping[str, Any], without: Iterable[str] = ()
) -> ConfigDict:
  """The config of a cell.

  Args:
    config: of the grid, or of another cell.
    changes: dotted field to value, of the field's type.
    without: sections of the grid's own that its cells do not have.

  Raises:
    AttributeError, KeyError: there is no such field or section.
  """
  cell = copy.deepcopy(config).unlock()
  for section in without:
    del cell[section]
  for name, value in changes.items():
    *sections, field = name.split('.')
    node = cell
    for section in sections:
      node = node[section]
    if field not in node:
      raise KeyError(name)
    node[field] = copy.deepcopy(value)
  return cell.lock()


def finish(
  cells: Iterable[CellType],
  workdir: Path,
  read: Read[CellType, Result],
  make: Make[CellType, Result] | None = None,
  advice: str = '',
) -> Iterator[tuple[CellType, Result]]:
  """Goes through a grid, one cell after the other.

  Args:
    cells: in the order in which they are to be run.
    workdir: of the experiment.
    read: finds those that are done.
    make: of those that are not; None to leave them out.
    advice: a sentence for who would go on without a cell that fails.

  Yields:
    Each cell that is done, and its result.

  Raises:
    Interrupted: stopped; the same call resumes.
    UserError: for what the user must change, with the cell's label.
  """
  for cell in cells:
    folder = cell.place(workdir)
    with _named(cell, advice):
      found = read(cell, folder)
      # All decide alike, and nobody begins it before everybody has looked.
      missing = anywhere(found is None)
      if missing and make is not None:
        say(f'cell {cell.label}: {cell.folder}')
        found = make(cell, folder)
    if found is not None:
      yield cell, found


def by_title(finished: Iterable[tuple[CellType, Result]]) -> Results[Result]:
  """The results of cells that are done, as tables show them."""
  results: Results[Result] = {}
  for cell, result in finished:
    results.setdefault(cell.title, {})[cell.number] = result
  return results


@contextlib.contextmanager
def _named(cell: Cell, advice: str) -> Generator[None]:
  """Says in which cell a mistake, or a training that failed, was found."""
  try:
    yield
  except UserError as error:
    end = f' {advice}' if advice else ''
    raise UserError(f'Cell {cell.label}: {error}{end}') from error


def begin_with(
  shared: CellType,
  folder: Path,
  workdir: Path,
  make: Callable[[CellType, Path], Any],
) -> None:
  """Gives a cell the first steps that it has in common with others.

  Args:
    shared: these steps, a cell that is made once for all.
    folder: of the cell that goes on from there; nothing happens if it exists.
    workdir: of the experiment.
    make: of the shared cell; returns at once where it is done.
  """
  if exists(folder):
    return
  source = shared.place(workdir)
  say(f'cell {shared.label}: {shared.folder}, which others begin with')
  make(shared, source)
  copied(source, folder)


def exists(folder: Path) -> bool:
  """Whether a cell has been begun, equal on all processes; a collective."""
  found = folder.exists()
  # No process makes it before all have checked.
  barrier('cell exists')
  return found


def copied(source: Path, target: Path) -> None:
  """Copies a folder; it appears whole or not at all; a collective."""
  if jax.process_index() == 0:
    temporary = target.with_name(f'.{target.name}.part')
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(source, temporary)
    temporary.rename(target)
  barrier('cell copied')
