"""The training loop: one rule for NaN, logging, saving and stopping."""

import itertools

import numpy as np
import pytest

from common_lib.errors import UserError
from fsnet_jax.runtime.interrupts import Interrupted, StopRequest
from fsnet_jax.training import loop


class Counting(loop.Training):
  """Adds its batches up, and puts down what the loop calls."""

  of, within, fix = ' of F', ' of cycle 2', 'lower it'
  log_every = 3

  def __init__(self, total, nan_at=None):
    self._total, self._nan_at, self.calls = total, nan_at, []

  def total(self, state):
    return self._total

  def update(self, step, state, batch):
    loss = np.nan if step + 1 == self._nan_at else 0.5
    # What is no loss may be anything.
    return lambda state, batch: (
      state + batch,
      {'loss': loss, 'beta': np.nan},
    )

  def log(self, step, state, values):
    self.calls.append(('log', step, values['loss']))

  def is_boundary(self, step, state):
    return step % 4 == 0

  def at_boundary(self, step, state):
    self.calls.append(('boundary', step, state))
    return state + 100

  def save(self, step, state):
    self.calls.append(('save', step, state))


class Stop(StopRequest):
  """Asks to stop after some steps."""

  signal_name = 'SIGTERM'

  def __init__(self, after=10**9):
    super().__init__()
    self._left, self.began = after, 0

  def work_began(self):
    self.began += 1

  def requested_anywhere(self):
    self._left -= 1
    return self._left <= 0


def _run(training, stop, step=0, state=0):
  batches = itertools.count(1 + step)
  return loop.run(training, state, step, batches, None, stop)


def test_steps_lines_and_boundaries_in_their_order():
  training, stop = Counting(5), Stop()
  # 1 + 2 + 3 + 4, then 100 at the boundary, then 5.
  assert _run(training, stop) == 115
  assert training.calls == [
    ('log', 3, 0.5),
    ('boundary', 4, 10),
    ('log', 5, 0.5),
  ]
  assert stop.began == 5


def test_it_resumes_where_the_state_stands():
  training = Counting(5)
  assert _run(training, Stop(), step=4, state=110) == 115
  assert training.calls == [('log', 5, 0.5)]
  assert _run(training, Stop(), step=5, state=115) == 115


def test_a_signal_saves_and_ends():
  training = Counting(5)
  with pytest.raises(
    Interrupted, match='by SIGTERM and saved at step 2 of cycle 2: run the same'
  ):
    _run(training, Stop(after=2))
  assert training.calls == [('save', 2, 3)]


def test_where_nothing_can_be_saved_it_is_not_claimed():
  training = Counting(5)
  training.progress = 'training the committee'
  with pytest.raises(Interrupted, match='SIGTERM while training the committee'):
    _run(training, Stop(after=1))


@pytest.mark.parametrize('nan_at, stop_after', [(3, 9), (4, 9), (2, 2), (5, 9)])
def test_no_state_whose_loss_is_nan_is_logged_or_saved(nan_at, stop_after):
  training = Counting(5, nan_at)
  words = f'loss of F is nan at step {nan_at} of cycle 2: lower it; the last'
  with pytest.raises(UserError, match=words):
    _run(training, Stop(stop_after))
  assert all(step < nan_at for _, step, _ in training.calls)
