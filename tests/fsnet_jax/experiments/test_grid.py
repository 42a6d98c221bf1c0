"""Cells: which are done, what is run, what is copied and collected."""

import dataclasses
from pathlib import PurePosixPath

import pytest
from ml_collections import ConfigDict

from common_lib.errors import UserError
from fsnet_jax.experiments import grid
from fsnet_jax.runtime.interrupts import Interrupted


def cell(title, number=0, **fields):
  folder = PurePosixPath('cells', f'{title}-{number}')
  return grid.Cell(
    title=title, number=number, folder=folder, config=ConfigDict(), **fields
  )


def read(one, folder):
  file = folder / 'result'
  return file.read_text() if file.exists() else None


class Maker:
  """Leaves a result in a cell's folder, or fails at one of them."""

  def __init__(self, fails_at='', error=Interrupted):
    self.made, self._fails_at, self._error = [], fails_at, error

  def __call__(self, one, folder):
    if one.title == self._fails_at:
      raise self._error('The loss is nan.')
    self.made.append(one.title)
    folder.mkdir(parents=True)
    (folder / 'result').write_text(one.title.upper())
    return read(one, folder)


CELLS = [cell('a', 1), cell('b', 1), cell('a', 2)]


def test_missing_cells_are_run_in_order_and_none_twice(tmp_path):
  stops = Maker('b')
  found = []
  with pytest.raises(Interrupted):
    for one, result in grid.finish(CELLS, tmp_path, read, stops):
      found.append((one.label, result))
  assert found == [('a, seed 1', 'A')]
  # Without a maker those that are missing are left out.
  assert [c for c, _ in grid.finish(CELLS, tmp_path, read)] == CELLS[:1]
  resumes = Maker()
  finished = grid.finish(CELLS, tmp_path, read, resumes)
  assert grid.by_title(finished) == {'a': {1: 'A', 2: 'A'}, 'b': {1: 'B'}}
  assert resumes.made == ['b', 'a']
  # Wherever it is then.
  moved = tmp_path.rename(tmp_path.with_name('moved'))
  idle = Maker('a')
  assert len(list(grid.finish(CELLS, moved, read, idle))) == 3
  assert idle.made == []


def test_each_is_run_when_its_turn_comes(tmp_path):
  maker = Maker()
  steps = grid.finish(CELLS, tmp_path, read, maker)
  for count, _ in enumerate(steps, 1):
    assert len(maker.made) == count


def test_a_mistake_is_said_of_its_cell(tmp_path):
  fails = Maker('b', UserError)
  words = 'Cell b, seed 1: The loss is nan. Leave it out.'
  with pytest.raises(UserError) as error:
    list(grid.finish(CELLS, tmp_path, read, fails, 'Leave it out.'))
  assert str(error.value) == words
  with pytest.raises(UserError, match='^Cell b, seed 1: The loss is nan.$'):
    list(grid.finish(CELLS, tmp_path, read, fails))


def test_a_damaged_result_is_said_of_its_cell(tmp_path):
  def damaged(one, folder):
    raise UserError(f'{folder.name} is damaged.')

  with pytest.raises(UserError, match='^Cell a, seed 1: a-1 is damaged.$'):
    list(grid.finish(CELLS, tmp_path, damaged))


def test_what_made_nothing_is_not_done(tmp_path):
  assert list(grid.finish(CELLS, tmp_path, read, lambda *_: None)) == []


def test_a_cell_is_a_value():
  assert cell('whole', 0, unit='fold').label == 'whole, fold 1'
  assert cell('a', 1) == cell('a', 1) != cell('a', 2)
  with pytest.raises(dataclasses.FrozenInstanceError):
    CELLS[0].title = 'b'


def test_a_shared_start_is_made_once_and_copied_whole(tmp_path):
  shared, maker = cell('shared'), Maker()
  first, second = (tmp_path / 'cells' / name for name in ('x', 'y'))
  # What a killed copy has left.
  (tmp_path / 'cells' / '.x.part').mkdir(parents=True)
  (tmp_path / 'cells' / '.x.part' / 'half').touch()

  def make(one, folder):
    if read(one, folder) is None:
      maker(one, folder)

  for folder in (first, second, first):
    grid.begin_with(shared, folder, tmp_path, make)
  assert maker.made == ['shared']
  for folder in (first, second):
    assert [path.name for path in folder.iterdir()] == ['result']
  names = {path.name for path in (tmp_path / 'cells').iterdir()}
  assert names == {'shared-0', 'x', 'y'}
  # What a cell has done since is not written over.
  (first / 'result').write_text('further')
  grid.begin_with(shared, first, tmp_path, make)
  assert (first / 'result').read_text() == 'further'


def test_a_config_is_derived_from_that_of_the_grid():
  base = ConfigDict({'seed': 0, 'a': {'b': 1, 'c': {'d': 2}}, 'own': {}})
  found = grid.derived(base, {'seed': 3, 'a.c.d': 5}, without=('own',))
  assert found.to_dict() == {'seed': 3, 'a': {'b': 1, 'c': {'d': 5}}}
  assert found.is_locked
  assert base.to_dict() == {'seed': 0, 'a': {'b': 1, 'c': {'d': 2}}, 'own': {}}
  for name in ('a.e', 'f', 'f.g'):
    with pytest.raises(KeyError):
      grid.derived(base, {name: 1})
