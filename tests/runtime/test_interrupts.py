"""Signals become a flag; the old handlers come back."""

import os
import signal

import pytest

from fsnet_jax.runtime.interrupts import StopRequest


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signal_sets_the_flag(number):
  before = signal.getsignal(number)
  with StopRequest() as stop:
    assert not stop.requested_anywhere()
    os.kill(os.getpid(), number)
    assert stop.requested_anywhere()
    assert stop.signal_name == number.name
  assert signal.getsignal(number) is before


def test_second_ctrl_c_does_not_wait():
  with StopRequest() as stop:
    os.kill(os.getpid(), signal.SIGINT)
    assert stop.requested
    with pytest.raises(KeyboardInterrupt):
      os.kill(os.getpid(), signal.SIGINT)
