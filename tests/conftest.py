"""Settings shared by every test.

Grain's worker processes and TFDS read absl flags, which pytest never parses.
Compiled programs are kept, so that the workers of one run and the next run
share them. Compiling is most of what the tests cost, so programs are not
optimised, come from XLA's plainer emitter and in one piece, which takes a fifth
of the time, in the processes that tests start too; what is compared bit by bit
is compiled alike.
"""

import gc
import importlib.metadata
import os
import pickle
import platform
import shutil

import pytest

from tests.e2e import sharing, tiny
from tests.paths import COMPILED

_FLAGS = ['--xla_backend_optimization_level=1']
# JAX 0.12 has that emitter no more, and an unknown flag ends the process.
if importlib.metadata.version('jax').startswith('0.10.'):
  _FLAGS = [
    '--xla_backend_optimization_level=0',
    '--xla_llvm_disable_expensive_passes=true',
    '--xla_cpu_use_fusion_emitters=false',
    '--xla_cpu_parallel_codegen_split_count=1',
  ]
  # What is not optimised and uses AVX2 made a gradient NaN.
  if platform.machine() == 'x86_64':
    _FLAGS.append('--xla_cpu_max_isa=AVX')
os.environ['XLA_FLAGS'] = ' '.join(
  [os.environ.get('XLA_FLAGS', ''), *_FLAGS]
).strip()
# The processes that tests start keep what takes a moment to compile, too.
os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0.1'

# Reads XLA_FLAGS when it first compiles.
import jax  # noqa: E402
from absl import flags  # noqa: E402

# Tracing makes many objects, of which few are garbage of cycles: looking for
# it as often as Python does takes a seventh of the time.
gc.set_threshold(20_000, 10, 10)
flags.FLAGS.mark_as_parsed()
jax.config.update('jax_compilation_cache_dir', str(COMPILED))


def pytest_collection_finish():
  """The collector looks no more at what is imported, which stays anyway."""
  gc.collect()
  gc.freeze()


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
  said = shared / 'finished.pickle'

  def run(workdir):
    result = tiny.run_anew(tiny.command(shared, workdir))
    assert result.returncode == 0, result.stderr
    said.write_bytes(pickle.dumps(result))

  workdir = sharing.made_once(shared / 'finished', run)
  return workdir, pickle.loads(said.read_bytes())


@pytest.fixture
def copy_of_finished(finished, tmp_path):
  """The finished run in a folder of the test's own."""
  return shutil.copytree(finished[0], tmp_path / 'copy')
