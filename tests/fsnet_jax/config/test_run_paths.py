"""Paths from one run of an experiment to another."""

import copy
from pathlib import Path, PurePosixPath

import pytest

from configs import fsnet_fcn8
from fsnet_jax.config import run_paths


@pytest.mark.parametrize(
  ('target', 'folder', 'expected'),
  [
    ('phase1', 'fsnet', '{workdir}/../phase1'),
    ('fsnet', 'fitted/tcp', '{workdir}/../../fsnet'),
    ('fitted/tcp', 'fsnet', '{workdir}/../fitted/tcp'),
    ('../seed5/phase1', 'seed5/full', '{workdir}/../../../seed5/phase1'),
    ('a', 'a/b', '{workdir}/..'),
  ],
)
def test_a_link_leads_from_folder_to_folder(target, folder, expected):
  found = run_paths.link(PurePosixPath(target), PurePosixPath(folder))
  assert found == expected and run_paths.is_linked(found)


def test_it_is_located_from_the_folder_of_its_run(tmp_path, monkeypatch):
  config = fsnet_fcn8.get_config()
  config.init.phase1 = '{workdir}/../phase1'
  config.eval.fitted.tcp = '{workdir}/../fitted/tcp'
  config.init.backbone = 'vgg.npz'
  before = copy.deepcopy(config)
  found = run_paths.located(config.lock(), Path('/e/seed0/fsnet'))
  assert found.init.phase1 == '/e/seed0/phase1'
  assert found.eval.fitted.tcp == '/e/seed0/fitted/tcp'
  assert found.init.backbone == 'vgg.npz' and found.is_locked
  assert config.to_dict() == before.to_dict()
  # As JSON has it, and from where the command was started.
  monkeypatch.chdir(tmp_path)
  plain = run_paths.located_values(config.to_dict(), Path('w'))
  assert plain['init']['phase1'] == str(tmp_path / 'phase1')
  # Nothing to do.
  assert run_paths.located(found, tmp_path) is found
  # A cell that lies on another disk is beside the others all the same.
  (tmp_path / 'disk').mkdir()
  (tmp_path / 'seed0').mkdir()
  (tmp_path / 'seed0/fsnet').symlink_to(tmp_path / 'disk')
  found = run_paths.located(config, tmp_path / 'seed0/fsnet')
  assert found.init.phase1 == str(tmp_path / 'seed0/phase1')


LINKED = '{workdir}/../../../seed5/phase1'


@pytest.mark.parametrize(
  ('other', 'same'),
  [
    (LINKED, True),
    ('/old/place/seed5/phase1', True),
    ('runs/a/seed5/phase1', True),
    ('/old/place/seed6/phase1', False),
    ('/old/seed5/phase1/phase1_data100', False),
    ('phase1', False),
    ('', False),
    (None, False),
    (3, False),
    ('{workdir}/../phase1', False),
  ],
)
def test_a_path_of_an_older_version_may_be_the_same_run(other, same):
  assert run_paths.same(LINKED, other) is same
  assert run_paths.same(other, LINKED) is same


def test_paths_of_users_are_compared_as_they_are():
  assert not run_paths.same('/a/phase1', '/b/phase1')
  assert not run_paths.same('{workdir}/..', '/a/b')
  assert not run_paths.is_linked('{workdir}') and not run_paths.is_linked(None)
