"""What processes that share work tell each other, in threads."""

import signal
import time

import pytest

from common_lib import interrupts
from common_lib.errors import UserError
from common_lib.interrupts import Interrupted
from fsnet_jax.runtime.cluster import peers
from tests.fsnet_jax.runtime.cluster.board import Board, together


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
  monkeypatch.setattr(peers, '_LOOK_SECS', 0.0)
  monkeypatch.setattr(peers, '_LONGEST_NAP_SECS', 0.02)


def test_everybody_waits_for_the_last_and_hears_what_each_has_brought():
  arrived = []

  def work(one):
    time.sleep(0.05 * one.index)
    arrived.append(one.index)
    found = one.exchanged('a place', f'value of {one.index}')
    # Nobody is let through before all are there.
    return len(arrived), found, one.exchanged('another place')

  expected = [f'value of {index}' for index in range(3)]
  for result in together(3, work):
    assert result == (3, expected, [''] * 3)


def test_one_process_waits_for_nobody():
  with peers.together() as one:
    assert (one.index, one.count, one.name) == (0, 1, '')
    assert one.exchanged('a place', 'mine') == ['mine']
    assert not one.stopped()


@pytest.mark.parametrize('waits', [False, True])
@pytest.mark.parametrize(
  ('error', 'kind', 'said'),
  [
    (UserError('x.png is bad: fix it.'), UserError, 'has ended: x.png is bad'),
    (ValueError('a bug'), UserError, 'Process 1 has failed: look at what it'),
    (Interrupted('saved'), Interrupted, 'a signal to a peer'),
    (KeyboardInterrupt(), Interrupted, 'a signal to a peer'),
  ],
)
def test_one_that_ends_ends_those_that_work_and_those_that_wait(
  waits, error, kind, said
):
  def work(one):
    if one.index == 1:
      raise error
    while not waits and not one.stopped():
      time.sleep(0.01)
    # Whoever notices a signal stops by itself; a failure is raised.
    one.exchanged('the end')

  first, failed, last = together(3, work)
  assert failed is error
  for other in (first, last):
    assert isinstance(other, kind) and said in str(other)


def test_what_another_one_said_is_not_told_again():
  board = Board()
  with pytest.raises(UserError), peers.Peers(1, 3, board).told():
    raise UserError('x.png is bad: fix it.')
  for _ in range(2):
    one = peers.Peers(0, 3, board)
    said = '^Process 1 has ended: x.png'
    with pytest.raises(UserError, match=said), one.told():
      one.stopped()


def test_one_that_was_stopped_while_it_waited_is_not_waited_for():
  board = Board()
  board.write('the end/1', '')
  with pytest.raises(Interrupted), peers.Peers(1, 2, board).told():
    raise Interrupted('while waiting')
  with pytest.raises(Interrupted, match='a signal to a peer while waiting'):
    peers.Peers(0, 2, board).exchanged('the end')


def test_a_signal_to_this_process_is_noticed_at_once(monkeypatch):
  monkeypatch.setattr(peers, '_LOOK_SECS', 3600.0)
  one = peers.Peers(0, 2, Board())
  assert not one.stopped()
  monkeypatch.setattr(interrupts, 'requested', lambda: signal.SIGTERM)
  assert one.stopped()
  with pytest.raises(Interrupted, match='SIGTERM while waiting for the other'):
    one.exchanged('a place')


def test_the_others_are_asked_now_and_then(monkeypatch):
  monkeypatch.setattr(peers, '_LOOK_SECS', 3600.0)
  board = Board()
  one = peers.Peers(0, 2, board)
  for _ in range(100):
    one.stopped()
  assert board.reads == 0
