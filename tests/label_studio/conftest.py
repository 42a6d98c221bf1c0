"""One server for all tests; each test has a project of its own."""

import pytest

from segxal_jax.oracles.label_studio import LabelStudio
from segxal_jax.oracles.label_studio.client import Client
from tests.label_studio.server import Server


@pytest.fixture(scope='session')
def server(tmp_path_factory):
  running = Server(tmp_path_factory.mktemp('label_studio'))
  try:
    running.start()
    yield running
  finally:
    running.end()


@pytest.fixture
def oracle(server, tmp_path):
  """A new oracle of one run's folder, as each start of the program makes it."""

  def make(**options):
    token = options.pop('token', server.token)
    client = Client(server.url, token, options.pop('silence_secs', 30.0))
    return LabelStudio(client, tmp_path / 'run' / 'oracle', **options)

  return make
