"""One unbroken loop, which the tests of a session compare theirs with."""

import pytest

from segxal_jax.loop.driver import run_loop
from tests.e2e import sharing
from tests.segxal_jax.loop import small_loop


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
