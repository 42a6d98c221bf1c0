"""One unbroken loop, which the tests of a session compare theirs with."""

import pytest

from segxal_jax.loop.context import Run
from segxal_jax.loop.driver import run_loop
from tests.e2e import sharing
from tests.segxal_jax.loop import small_loop


@pytest.fixture(scope='session', autouse=True)
def steps_of_equal_runs_are_compiled_once():
  """Tracing them again is most of what a killed run costs to continue.

  What is in a step depends on the config alone. A process that traces them
  anew is `test_the_program_is_killed_and_continued`.
  """
  compiled, made = Run.compiled, {}

  def shared_compiled(run, name, make):
    key = name, run.config.to_json_best_effort()
    if key not in made:
      made[key] = compiled(run, name, make)
    return made[key]

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(Run, 'compiled', shared_compiled)
    yield


@pytest.fixture(scope='session')
def data(shared):
  return shared / 'data'


@pytest.fixture(scope='session')
def finished(data, shared):
  """An unbroken run."""

  def run(workdir):
    done = run_loop(small_loop.config(data), workdir)
    assert (done.cycles, done.reason) == (2, '1 cycle is done')

  return sharing.made_once(shared / 'unbroken_loop', run)
