"""The folder of a run: its config, and one program at a time."""

import errno
import fcntl
import json

import ml_collections
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime import workdir
from fsnet_jax.runtime.workdir import open_workdir


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


def test_config_is_stored_and_the_same_one_may_return(tmp_path):
  folder = tmp_path / 'a' / 'run'
  for _ in range(2):
    with open_workdir(folder, _config()):
      stored = json.loads((folder / 'config.json').read_text())
  assert stored['image_size'] == [64, 128]
  assert stored['data']['num_train'] == 5


def test_another_config_is_refused_and_nothing_is_overwritten(tmp_path):
  with open_workdir(tmp_path, _config()):
    pass
  changed = _config(**{'data.num_train': 6})
  with (
    pytest.raises(UserError, match='data.num_train was 5 and is now 6'),
    open_workdir(tmp_path, changed),
  ):
    pass
  stored = json.loads((tmp_path / 'config.json').read_text())
  assert stored['data']['num_train'] == 5


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
    pytest.raises(UserError, match='config.json cannot be read'),
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
