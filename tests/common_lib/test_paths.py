"""Folders of users with a home, with none, and with one they cannot write."""

import os
import pathlib
import tempfile

import pytest

from common_lib import paths


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
  """A temporary folder of the test's own, and nothing remembered."""
  monkeypatch.setattr(tempfile, 'tempdir', str(tmp_path))
  paths.default_folder.cache_clear()
  yield
  paths.default_folder.cache_clear()


def _default():
  return paths.default_folder('~/.cache/x', 'compiled programs')


def _without_home(monkeypatch):
  def fail(self):
    raise RuntimeError('Could not determine home directory.')

  monkeypatch.setattr(pathlib.Path, 'expanduser', fail)


def test_home_is_taken_where_there_is_one(tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('HOME', str(tmp_path / 'home'))
  assert _default() == tmp_path / 'home' / '.cache' / 'x'
  assert capsys.readouterr().err == ''


def test_without_home_a_temporary_folder_and_one_note(
  tmp_path, monkeypatch, capsys
):
  _without_home(monkeypatch)
  assert paths.expanded('~/x') == pathlib.Path('~/x')
  folder = _default()
  assert folder == tmp_path / f'fsnet_jax-{os.getuid()}' / '.cache' / 'x'
  assert folder.parents[1].stat().st_mode & 0o077 == 0
  assert _default() == folder
  said = capsys.readouterr().err
  assert said.count('note: ') == 1
  assert str(folder) in said and 'compiled programs' in said
  # The next command finds what this one has left.
  paths.default_folder.cache_clear()
  assert _default() == folder


def test_a_home_that_cannot_be_written_is_none(tmp_path, monkeypatch):
  # As in a container that runs under a number: HOME is '/'.
  monkeypatch.setenv('HOME', '/')
  monkeypatch.setattr(os, 'access', lambda path, mode: str(path) != '/')
  assert _default().is_relative_to(tmp_path)
  (tmp_path / 'file').write_text('')
  paths.default_folder.cache_clear()
  monkeypatch.setenv('HOME', str(tmp_path / 'file'))
  assert _default().is_relative_to(tmp_path / f'fsnet_jax-{os.getuid()}')


@pytest.mark.parametrize('kind', ['link', 'open', 'file'])
def test_what_others_may_have_put_there_is_not_taken(
  tmp_path, monkeypatch, kind
):
  _without_home(monkeypatch)
  place = tmp_path / f'fsnet_jax-{os.getuid()}'
  if kind == 'link':
    (tmp_path / 'theirs').mkdir(mode=0o700)
    place.symlink_to(tmp_path / 'theirs')
  elif kind == 'file':
    place.write_text('')
  else:
    place.mkdir()
    place.chmod(0o777)
  folder = _default()
  assert not folder.is_relative_to(place)
  assert folder.is_relative_to(tmp_path)


def test_a_folder_that_was_named_is_taken_as_it_is():
  assert paths.default_folder('/no/such/x', 'data') == pathlib.Path(
    '/no/such/x'
  )
