"""False alarms stay as rare as promised, and a shift is found."""

import numpy as np
import pytest
from scipy import stats

from fsnet_jax.monitor import shift, statistics


def _drawn(rng, count, moved=0.0):
  """Statistics that depend on each other, as those of images do."""
  common = rng.normal(size=count)
  return {
    name: common + rng.normal(size=count) + moved for name in statistics.NAMES
  }


def test_false_alarms_of_a_folder_are_as_rare_as_promised():
  """500 draws: more than 45 alarms at 5 % have a chance below 1e-4."""
  rng = np.random.default_rng(0)
  alarms = sum(
    shift.compare(_drawn(rng, 60), _drawn(rng, 25)).found(0.05)
    for _ in range(500)
  )
  assert stats.binom.sf(45, 500, 0.05) < 1e-4
  assert 0 < alarms <= 45


def test_a_shift_of_a_folder_is_found():
  rng = np.random.default_rng(1)
  found = sum(
    shift.compare(_drawn(rng, 60), _drawn(rng, 40, 2.0)).found()
    for _ in range(50)
  )
  assert found >= 48


def test_the_p_value_is_the_smallest_times_five():
  reference = {name: np.arange(10.0) for name in statistics.NAMES}
  new = dict(reference, brightness=np.arange(10.0) + 100)
  tested = shift.compare(reference, new)
  assert tested.statistic == 'brightness'
  # Of two samples of ten that do not overlap: 2 of C(20, 10) orders.
  assert tested.p_value == pytest.approx(5 * 2 / 184756)
  assert (tested.images, tested.references) == (10, 10)
  same = shift.compare(reference, reference)
  assert same.p_value == 1 and not same.found()
  # One image alone says little.
  alone = {name: [0.5] for name in statistics.NAMES}
  assert not shift.compare(reference, alone).found()


def test_the_first_steps_of_a_martingale_by_hand():
  martingale = shift.ConformalMartingale([1.0, 2.0, 3.0])
  martingale._rng = _Half()
  # p = (0 larger + 0.5) / 4 = 1 / 8.
  bets = [e * 0.125 ** (e - 1) for e in (0.2, 0.5, 0.8)]
  bets += [e * 0.875 ** (e - 1) for e in (0.2, 0.5, 0.8)]
  assert martingale.update(4.0) == pytest.approx((sum(bets) + 1) / 7)
  # Among 1, 2, 3, 4: p = (2 + 0.5 * 2) / 5; the money has moved.
  wealth = np.array([*bets, 1.0]) / 7
  wealth = 0.99 * wealth + 0.01 * wealth.mean()
  bets = [e * 0.6 ** (e - 1) for e in (0.2, 0.5, 0.8)]
  bets += [e * 0.4 ** (e - 1) for e in (0.2, 0.5, 0.8)]
  assert martingale.update(2.0) == pytest.approx(wealth @ [*bets, 1.0])
  assert martingale.count == 2


class _Half:
  def uniform(self):
    return 0.5


def test_bets_are_fair():
  """Each gains nothing on average over uniform p."""
  grid = (np.arange(1_000_000) + 0.5) / 1_000_000
  for exponent in shift._EXPONENTS:
    gain = exponent * grid ** (exponent - 1)
    assert gain.mean() == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_long_streams_seldom_alarm():
  """200 streams of 400 values at 10 %: above 40 has a chance below 1e-4."""
  rng = np.random.default_rng(2)
  alarms = 0
  for stream in range(200):
    values = rng.gamma(2.0, size=450)
    martingale = shift.ConformalMartingale(values[:50], seed=stream)
    alarms += any(martingale.update(v) >= 10 for v in values[50:])
  assert stats.binom.sf(40, 200, 0.1) < 1e-4
  assert alarms <= 40


@pytest.mark.parametrize('moved', [3.0, -3.0])
@pytest.mark.parametrize('before', [0, 300])
def test_a_shift_of_a_stream_is_found_early_and_late(moved, before):
  rng = np.random.default_rng(3)
  reference = rng.normal(size=100)
  martingale = shift.ConformalMartingale(reference)
  for value in rng.normal(size=before):
    martingale.update(value)
  after = 0
  while martingale.wealth < 100 and after < 100:
    martingale.update(rng.normal() + moved)
    after += 1
  assert after <= 25


def test_equal_values_raise_no_alarm():
  martingale = shift.ConformalMartingale([0.0] * 20)
  assert max(martingale.update(0.0) for _ in range(300)) < 100


def test_a_stream_alarms_once_and_says_where():
  rng = np.random.default_rng(4)
  reference = _drawn(rng, 80)
  test = shift.StreamTest(reference)
  alarms = []
  for frame in range(60):
    drawn = _drawn(rng, 1, moved=0.0 if frame < 20 else 6.0)
    values = {name: float(own[0]) for name, own in drawn.items()}
    if test.update(f'frame {frame}', values):
      alarms.append(frame)
  assert len(alarms) == 1 and 20 <= alarms[0] < 40
  assert test.alarm == f'frame {alarms[0]}'
