"""Where errors lay, of a cycle, a run and a method; see `queries.error_counts`.

A cycle writes its counts when it asks. Of one that asked before there were
such, its questions are read again, with the ground truth of the pool.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fsnet_jax.experiments.grid import Cell
from input_pipeline.sources import Source
from segxal_jax.loop import cycle_files
from segxal_jax.pool.sources import has_truth
from segxal_jax.queries import storage
from segxal_jax.queries.error_counts import Counts, added, of_image
from segxal_jax.report.across_runs import Results

# Their names in tables, in order.
TITLES = {
  'cam': 'Grad-CAM',
  'proximity': 'proximity',
  'pae': 'PAE',
  'entropy': 'EBU',
  'failure': "FSNet's map",
  'eem': 'EEM',
  'guide': 'what guided',
  'perfect': 'a perfect map',
}
ASKED = 'asked regions'
# Images of a cycle that are read again; a share of errors needs no more.
_MOST = 100
_FIX = 'restore it from a backup, or delete it: the report counts without it'
# Opens the pool with the ground truth; None where its images are gone.
OpenPool = Callable[[], Source | None]


def of_cycle(workdir: Path, cycle: int, pool: OpenPool) -> Counts | None:
  """Of the questions of a cycle.

  Args:
    workdir: of the run.
    cycle: from 1.
    pool: of the run; not opened where the cycle has written its counts.

  Returns:
    None where nothing was asked, or no image of it has a ground truth.

  Raises:
    UserError: the counts, or a question of a cycle without them, are damaged.
  """
  if cycle_files.has_errors(workdir, cycle):
    return cycle_files.read_errors(workdir, cycle)
  return _counted(workdir, cycle, pool)


def _counted(workdir: Path, cycle: int, pool: OpenPool) -> Counts | None:
  """Of the first questions of an older cycle, a hundred at most."""
  folder = cycle_files.folder_of(workdir, cycle) / 'questions'
  files = sorted(folder.glob('*.npz'))[:_MOST]
  source = pool() if files else None
  if source is None:
    return None
  counts = []
  for file in files:
    index = int(file.stem)
    if has_truth(source, index):
      truth = np.asarray(source[index]['label'])
      counts.append(of_image(storage.read(file, _FIX), truth))
  return added(one for one in counts if one is not None)


def of_run(
  workdir: Path, cycles: Sequence[Mapping[str, Any]], pool: OpenPool
) -> Counts | None:
  """Of the questions of all its cycles; see `of_cycle`."""
  found = [of_cycle(workdir, entry['cycle'], pool) for entry in cycles]
  return added(one for one in found if one is not None)


def by_title(
  cells: Sequence[Cell], results: Results, workdir: Path, pool: OpenPool
) -> dict[str, Counts]:
  """Of all seeds of a method, for each that asked where there is a truth.

  Args:
    cells: of a comparison.
    results: of those that are done.
    workdir: of the comparison.
    pool: of every cell.
  """
  found: dict[str, list[Counts]] = {}
  for cell in cells:
    cycles = results.get(cell.title, {}).get(cell.number)
    counts = cycles and of_run(cell.place(workdir), cycles, pool)
    if counts:
      found.setdefault(cell.title, []).append(counts)
  sums = {title: added(counts) for title, counts in found.items()}
  return {title: total for title, total in sums.items() if total is not None}
