"""The folder of a run: its config, and one program at a time."""

import errno
import fcntl
import json
import shutil

import ml_collections
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime import workdir
from fsnet_jax.runtime.workdir import (
  check_still_there,
  check_workdir,
  has_results,
  open_finished,
  open_workdir,
)


def _config(**fields):
  config = ml_collections.ConfigDict(
    {
      'seed': 0,
      'image_size': (64, 128),
      'data': {'root': 'here', 'num_train': 5},
      'eval': {'datasets': ('streets/day',)},
    }
  )
  config.update_from_flattened_dict(fields)
  return config


def _save_a_checkpoint(workdir):
  (workdir / 'checkpoints' / '4').mkdir(parents=True)


def test_config_is_stored_and_the_same_one_may_return(tmp_path):
  folder = tmp_path / 'a' / 'run'
  for _ in range(2):
    with open_workdir(folder, _config()):
      stored = json.loads((folder / 'config.json').read_text())
  assert stored['image_size'] == [64, 128]
  assert stored['data']['num_train'] == 5


def test_another_config_is_refused_and_nothing_is_overwritten(tmp_path):
  with open_workdir(tmp_path, _config()):
    _save_a_checkpoint(tmp_path)
  changed = _config(**{'data.num_train': 6})
  with (
    pytest.raises(UserError, match='data.num_train was 5 and is now 6'),
    open_workdir(tmp_path, changed),
  ):
    pass
  stored = json.loads((tmp_path / 'config.json').read_text())
  assert stored['data']['num_train'] == 5


def test_a_run_that_saved_nothing_gives_its_folder_up(tmp_path, capsys):
  with open_workdir(tmp_path, _config()):
    # What one leaves that was killed while it saved for the first time, or
    # diverged.
    (tmp_path / 'checkpoints' / '4.orbax-checkpoint-tmp').mkdir(parents=True)
    (tmp_path / 'position.json').write_text('{"stage": "train"}')
    (tmp_path / 'pool' / 'annotations').mkdir(parents=True)
    (tmp_path / 'events.out.tfevents.1.v2').write_text('')
    (tmp_path / 'notes.txt').write_text('of the user')
  with open_workdir(tmp_path, _config()):
    assert (tmp_path / 'position.json').exists()
  with open_workdir(tmp_path, _config(seed=1)):
    stored = json.loads((tmp_path / 'config.json').read_text())
  assert stored['seed'] == 1
  assert 'saved nothing' in capsys.readouterr().err
  assert not (tmp_path / 'position.json').exists()
  assert not (tmp_path / 'pool').exists()
  assert not list(tmp_path.glob('events*'))
  assert (tmp_path / 'notes.txt').exists()


@pytest.mark.parametrize(
  'work',
  [
    'checkpoints/4/state',
    'seed0/phase1/checkpoints/4/state',
    'fitted/tcp/generator/checkpoints/0/state',
    # The checkpoints may have been deleted since.
    'report/metrics.json',
    'evaluations/night/metrics.json',
    'cycles/001/metrics.json',
    'cost.json',
    'report/compare.json',
    'report/ablation.md',
  ],
)
def test_what_took_work_keeps_its_folder(work, tmp_path):
  with open_workdir(tmp_path, _config()):
    assert not has_results(tmp_path)
    (tmp_path / work).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / work).write_text('')
    assert has_results(tmp_path)
  with (
    pytest.raises(UserError, match='seed was 0 and is now 1'),
    open_workdir(tmp_path, _config(seed=1)),
  ):
    pass


def test_a_config_of_another_program_is_never_overwritten(tmp_path):
  (tmp_path / 'config.json').write_text('{"model_type": "segformer"}')
  with (
    pytest.raises(UserError, match="another config's run"),
    open_workdir(tmp_path, _config()),
  ):
    pass
  assert 'segformer' in (tmp_path / 'config.json').read_text()


def test_a_look_at_a_run_that_does_not_exist_leaves_nothing(tmp_path):
  workdir = tmp_path / 'run'
  words = f'--mode=evaluate found no checkpoint in --workdir={workdir}'
  with (
    pytest.raises(UserError, match=words),
    open_finished(workdir, _config(), 'evaluate'),
  ):
    pass
  assert not workdir.exists()


@pytest.mark.parametrize('mode', ['train', 'evaluate'])
def test_another_run_is_noticed_before_anything_is_made(tmp_path, mode):
  run = tmp_path / 'runs' / 'one'
  with open_workdir(run, _config()):
    _save_a_checkpoint(run)
  (run / '.lock').unlink()
  check_workdir(run, _config(), mode)
  with pytest.raises(UserError, match='seed was 0 and is now 1'):
    check_workdir(run, _config(seed=1), mode)
  assert not (run / '.lock').exists()
  # The folder of all runs is no run.
  if mode == 'evaluate':
    with pytest.raises(UserError, match='no checkpoint'):
      check_workdir(tmp_path / 'runs', _config(), mode)
  else:
    check_workdir(tmp_path / 'runs', _config(), mode)


def test_a_look_at_a_run_changes_nothing_of_it(tmp_path):
  with open_workdir(tmp_path, _config()):
    _save_a_checkpoint(tmp_path)
  before = (tmp_path / 'config.json').read_bytes()
  moved = _config(**{'data.root': 'there', 'eval.datasets': ('x', 'y')})
  # A field that the program has learnt since the run.
  moved.eval.resize = 'squeeze'
  moved.data.fresh = 1
  with open_finished(tmp_path, moved, 'evaluate'):
    assert (tmp_path / 'config.json').read_bytes() == before
  with (
    pytest.raises(UserError, match='seed was 0 and is now 3'),
    open_finished(tmp_path, _config(seed=3), 'evaluate'),
  ):
    pass


def test_a_folder_that_was_taken_away_is_not_written_again(tmp_path):
  workdir = tmp_path / 'run'
  with (
    pytest.raises(UserError, match='deleted or replaced'),
    open_workdir(workdir, _config()),
  ):
    check_still_there()
    shutil.rmtree(workdir)
    check_still_there()
  check_still_there()  # Nothing is claimed any more.


def test_nor_is_one_that_another_run_has_made_in_its_place(tmp_path):
  workdir = tmp_path / 'run'
  with (
    pytest.raises(UserError, match='deleted or replaced'),
    open_workdir(workdir, _config()),
  ):
    (workdir / '.lock').rename(tmp_path / 'kept')  # so its number is not free
    (workdir / '.lock').write_text('')
    check_still_there()


def test_a_failure_in_a_folder_that_is_gone_is_explained(tmp_path):
  workdir = tmp_path / 'run'
  with (
    pytest.raises(UserError, match='deleted or replaced'),
    open_workdir(workdir, _config()),
  ):
    shutil.rmtree(workdir)
    (workdir / 'seconds.json').write_text('3')
  with pytest.raises(KeyError), open_workdir(workdir, _config()):
    raise KeyError('x')


def test_what_does_not_enter_the_training_may_change(tmp_path):
  with open_workdir(tmp_path, _config()):
    pass
  moved = _config(**{'data.root': 'there', 'eval.datasets': ('x', 'y')})
  with open_workdir(tmp_path, moved):
    stored = json.loads((tmp_path / 'config.json').read_text())
  assert stored['data']['root'] == 'there'


def test_two_runs_in_one_folder_are_refused(tmp_path):
  with (
    open_workdir(tmp_path, _config()),
    pytest.raises(UserError, match='in use by another run'),
    open_workdir(tmp_path, _config()),
  ):
    pass
  with open_workdir(tmp_path, _config()):
    assert (tmp_path / 'config.json').exists()


def test_a_disk_without_locks_is_used_with_one_note(
  tmp_path, monkeypatch, capsys
):
  def no_locks(*_):
    raise OSError(errno.ENOLCK, 'No locks available')

  monkeypatch.setattr(fcntl, 'flock', no_locks)
  workdir._note_no_locks.cache_clear()
  for name in ('a', 'b'):
    with open_workdir(tmp_path / name, _config()):
      assert (tmp_path / name / 'config.json').exists()
  said = capsys.readouterr().err
  assert said.count('has no file locks (No locks available)') == 1


def test_unreadable_config_is_explained(tmp_path):
  (tmp_path / 'config.json').write_text('{"seed": ')
  with (
    pytest.raises(UserError, match='config.json, .* cannot be read'),
    open_workdir(tmp_path, _config()),
  ):
    pass


def test_folder_that_is_a_file_is_explained(tmp_path):
  (tmp_path / 'file').write_text('')
  with (
    pytest.raises(UserError, match='cannot be written'),
    open_workdir(tmp_path / 'file', _config()),
  ):
    pass
