"""One prepared copy of the data and one compilation cache for all runs."""

import pytest

from tests.e2e import tiny


@pytest.fixture(scope='session')
def shared(tmp_path_factory, worker_id):
  """Folder that every test process of this session shares."""
  base = tmp_path_factory.getbasetemp()
  folder = (base if worker_id == 'master' else base.parent) / 'shared'
  folder.mkdir(exist_ok=True)
  return folder


@pytest.fixture(scope='session')
def finished(shared, tmp_path_factory):
  """A shrunken demo, run to its end: (workdir, what it printed)."""
  workdir = tmp_path_factory.mktemp('finished') / 'run'
  result = tiny.run(tiny.command(shared, workdir))
  assert result.returncode == 0, result.stderr
  return workdir, result
