"""Damage to a cycle's files stops the loop, and the way out leads back."""

import shutil

import pytest

from common_lib.errors import UserError
from segxal_jax.loop.driver import run_loop
from segxal_jax.report.write import report
from tests.segxal_jax.loop import killing, small_loop


@pytest.fixture(scope='module')
def config(data):
  return small_loop.config(data)


@pytest.fixture(scope='module')
def asking(config, tmp_path_factory):
  """A run that has written its questions, and stands before the answers."""
  workdir = tmp_path_factory.mktemp('asking') / 'run'
  run_loop(config, workdir, until=(1, 'annotate'))
  return workdir


@pytest.fixture
def run(asking, tmp_path):
  return shutil.copytree(asking, tmp_path / 'run')


def _flip(path):
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 4
  path.write_bytes(content)


def test_the_way_out_of_damaged_questions_and_weights(config, finished, run):
  cycle = run / 'cycles' / '001'
  files = [*sorted((cycle / 'questions').iterdir()), cycle / 'weights.json']
  for path in (files[0], files[-1]):
    content = path.read_bytes()
    _flip(path)
    with pytest.raises(UserError, match=f'{path.name}.*delete .*position.json'):
      run_loop(config, run)
    path.unlink()
    with pytest.raises(UserError, match=f'{path.name}.*No such file'):
      run_loop(config, run)
    path.write_bytes(content)
  for path in files:
    _flip(path)
  (run / 'position.json').unlink()
  assert run_loop(config, run).cycles == 2
  killing.assert_same(finished, run)
  # In the report a picture that is gone is left out, with a note.
  (run / 'cycles/001/questions' / files[0].name).unlink()
  (watched,) = (run / 'cycles/001/watched').iterdir()
  report(config, run, {})
  names = {path.name for path in (run / 'report').glob('*.png')}
  assert f'cycle001_{files[0].stem}.png' not in names
  assert f'cycle001_{files[1].stem}.png' in names
  _flip(watched)
  with pytest.raises(UserError, match='watched.*or delete it'):
    report(config, run, {})


def test_a_ledger_that_is_gone_is_not_begun_again(config, run):
  shutil.rmtree(run / 'pool')
  with pytest.raises(UserError, match='annotations of the seed set'):
    run_loop(config, run)
