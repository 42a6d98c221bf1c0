"""Errors of a peer that is gone are told from all others."""

import jax
import pytest

from common_lib import interrupts
from common_lib.errors import UserError
from fsnet_jax.runtime.cluster import lost_peers

_GLOO = (
  'UNKNOWN: Gloo all-reduce failed: [external/gloo/gloo/transport/tcp/pair.cc:'
  '547] Connection closed by peer [127.0.0.1]:34734'
)


class Left(BaseException):
  pass


@pytest.fixture
def joined(monkeypatch):
  def leave(sentence, code=75):
    raise Left(sentence, code)

  monkeypatch.setattr(lost_peers, '_joined', True)
  monkeypatch.setattr(jax, 'process_count', lambda: 2)
  monkeypatch.setattr(interrupts, 'leave', leave)


@pytest.mark.parametrize(
  'text',
  [
    _GLOO,
    'UNAVAILABLE: Socket closed',
    'INTERNAL: Barrier failed because: Task 1 heartbeat timeout',
    'DEADLINE_EXCEEDED: Barrier timed out. Id: workdir',
    'INTERNAL: NCCL operation ncclAllReduce failed: remote process exited',
  ],
)
@pytest.mark.parametrize('kind', [jax.errors.JaxRuntimeError, ValueError])
def test_a_lost_peer_is_a_sentence(joined, kind, text):
  with (
    interrupts.Section('in phase 2 after step 9'),
    pytest.raises(Left, match='Another process of this run has ended') as left,
    lost_peers.noticed(),
  ):
    raise kind(text)
  sentence, code = left.value.args
  assert text[:40] in sentence and ', in phase 2 after step 9:' in sentence
  assert code == 75


@pytest.mark.parametrize(
  'error',
  [
    UserError('the barrier of a run'),
    interrupts.Interrupted('gloo'),
    BrokenPipeError('Broken pipe'),
    ConnectionRefusedError('Connection refused'),
    ValueError('the barrier is UNKNOWN'),
    ValueError('operands could not be broadcast'),
    jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: out of memory'),
  ],
)
def test_other_errors_pass(joined, error):
  with pytest.raises(type(error)) as caught, lost_peers.noticed():
    raise error
  assert caught.value is error


def test_alone_there_is_nobody_to_lose():
  with pytest.raises(RuntimeError, match='Gloo'), lost_peers.noticed():
    raise RuntimeError(_GLOO)
  assert lost_peers.all_end(1.0) is False


def test_what_jaxlib_cannot_say_is_left_out():
  assert lost_peers.reason(RuntimeError('std::bad_cast')) == ''
  assert lost_peers.reason(RuntimeError('a\x1bb')) == ' (a�b)'
