"""One prepared copy of the data and one compilation cache for all runs."""

import fcntl
import pickle
import shutil

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
def finished(shared):
  """A shrunken demo, run to its end: (workdir, what it printed).

  One process of the session runs it, the others wait; nobody changes it.
  """
  workdir, said = shared / 'finished', shared / 'finished.pickle'
  with (shared / 'finished.lock').open('w') as lock:
    fcntl.flock(lock, fcntl.LOCK_EX)
    if not said.exists():
      result = tiny.run(tiny.command(shared, workdir))
      assert result.returncode == 0, result.stderr
      said.write_bytes(pickle.dumps(result))
  return workdir, pickle.loads(said.read_bytes())


@pytest.fixture
def copy_of_finished(finished, tmp_path):
  """The finished run in a folder of the test's own."""
  return shutil.copytree(finished[0], tmp_path / 'copy')
