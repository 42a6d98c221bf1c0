"""Waiting for process 0 ends, and says what for."""

import socket

import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime.cluster import coordinator
from fsnet_jax.runtime.cluster.description import Cluster


@pytest.fixture
def listener():
  with socket.socket() as server:
    server.bind(('127.0.0.1', 0))
    server.listen()
    yield server.getsockname()[1]


def _closed_port():
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def test_somebody_listens(listener):
  coordinator.wait(Cluster(f'127.0.0.1:{listener}', 2, 1), 5.0)


def test_nobody_listens(monkeypatch, capsys):
  monkeypatch.setattr(coordinator, '_PAUSE_SECS', 0.01)
  monkeypatch.setattr(coordinator, '_TELL_SECS', 0.05)
  address = f'127.0.0.1:{_closed_port()}'
  said = f'Process 1 found no process 0 at {address} within 0 s .connection ref'
  with pytest.raises(UserError, match=said):
    coordinator.wait(Cluster(address, 2, 1), 0.2)
  told = capsys.readouterr().err
  assert f'still waiting for process 0 at {address} (connection ref' in told


@pytest.mark.parametrize(
  'error, said',
  [
    (socket.gaierror(-2, 'Name or service not known'), 'no host of that name'),
    (TimeoutError(), 'no answer'),
    (OSError(113, 'No route to host'), 'no route to host'),
    (UnicodeError('label too long'), 'no host can have that name'),
  ],
)
def test_each_way_not_to_be_reached(monkeypatch, error, said):
  def fail(*_, **__):
    raise error

  monkeypatch.setattr(socket, 'create_connection', fail)
  with pytest.raises(UserError, match=said):
    coordinator.wait(Cluster('elsewhere:1', 2, 1), 0.0)


def test_a_port_in_use_is_refused(listener):
  said = f'Port {listener} of 127.0.0.1:{listener}.*another --coordinator_addr'
  with pytest.raises(UserError, match=said):
    coordinator.check_free(Cluster(f'127.0.0.1:{listener}', 2, 0))
  coordinator.check_free(Cluster(f'127.0.0.1:{_closed_port()}', 2, 0))
