"""Signals become a flag; the old handlers come back."""

import os
import signal

import pytest

from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.training.trainer import Trainer


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_sets_the_flag(number):
  before = signal.getsignal(number)
  with pytest.raises(Interrupted, match='saved'), StopRequest() as stop:
    assert not stop.requested_anywhere()
    os.kill(os.getpid(), number)
    assert stop.requested_anywhere()
    assert stop.signal_name == number.name
    raise Interrupted('saved')
  assert signal.getsignal(number) is before


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_request_that_nobody_looked_at_is_not_forgotten(number):
  said = f'{number.name}.*same command'
  with pytest.raises(Interrupted, match=said), StopRequest():
    os.kill(os.getpid(), number)
  with StopRequest():
    pass  # the next one knows nothing of it


def test_second_ctrl_c_does_not_wait():
  with pytest.raises(KeyboardInterrupt), StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.requested
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
  'reached, where',
  [
    ((1, 0), 'in phase 1 before the first step; no checkpoint is saved yet'),
    ((2, 9), 'in phase 2 after step 9; the last saved checkpoint is of step 8'),
  ],
)
def test_a_run_knows_how_far_it_is(tmp_path, reached, where):
  trainer = object.__new__(Trainer)
  trainer._workdir, trainer._reached = tmp_path, reached
  if reached[1]:
    (tmp_path / 'checkpoints' / '8').mkdir(parents=True)
  assert trainer._where() == where
