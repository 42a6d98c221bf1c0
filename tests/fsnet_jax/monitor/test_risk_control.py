"""Bounds against formulas written out, and against what they promise."""

import math

import numpy as np
import pytest

from fsnet_jax.monitor import risk_control

LIMIT, CONFIDENCE = 0.05, 0.95


def _hb(losses, limit):
  """Hoeffding-Bentkus, term by term."""
  count, risk = len(losses), sum(losses) / len(losses)
  low = min(risk, limit)
  divergence = (low * math.log(low / limit) if low else 0.0) + (
    1 - low
  ) * math.log((1 - low) / (1 - limit))
  most = math.ceil(round(count * risk, 9))
  bentkus = math.e * sum(
    math.comb(count, k) * limit**k * (1 - limit) ** (count - k)
    for k in range(min(most, count) + 1)
  )
  return min(1.0, math.exp(-count * divergence), bentkus)


def _wsr(losses, limit, confidence):
  """The wealth of the bets, loss by loss."""
  count, wealth, largest = len(losses), 1.0, 1.0
  seen, mean, spread, variance = 0.0, 0.5, 0.0, 0.25
  for number, loss in enumerate(losses, 1):
    bet = math.sqrt(2 * math.log(1 / (1 - confidence)) / (count * variance))
    wealth *= 1 + min(bet, 0.9 / (1 - limit)) * (limit - loss)
    largest = max(largest, wealth)
    seen += loss
    mean = (0.5 + seen) / (number + 1)
    spread += (loss - mean) ** 2
    variance = (0.25 + spread) / (number + 1)
  return 1 / largest


@pytest.mark.parametrize('count', [1, 2, 60, 137])
@pytest.mark.parametrize('high', [0.0, 0.04, 0.3, 1.0])
def test_p_values_are_those_of_the_formulas(count, high):
  losses = np.random.default_rng(count).uniform(0, high, count)
  assert risk_control.p_value(losses, LIMIT, 'hb') == pytest.approx(
    _hb(losses, LIMIT), rel=1e-9
  )
  assert risk_control.p_value(losses, LIMIT, 'wsr') == pytest.approx(
    _wsr(losses, LIMIT, CONFIDENCE), rel=1e-9
  )


@pytest.mark.parametrize('bound', ['hb', 'wsr'])
def test_losses_of_one_never_pass(bound):
  assert risk_control.p_value(np.ones(500), LIMIT, bound) == 1.0


@pytest.mark.parametrize(
  ('limit', 'count'), [(0.05, 59), (0.10, 29), (0.01, 299)]
)
def test_fewest_units(limit, count):
  assert risk_control.fewest_units(limit, 0.95, 'hb') == count
  perfect = np.zeros((count, 1))
  assert risk_control.choose_threshold(perfect, [0.5], limit, 0.95, 'hb')
  assert (
    risk_control.choose_threshold(perfect[1:], [0.5], limit, 0.95, 'hb') is None
  )
  fewest = risk_control.fewest_units(limit, 0.95, 'wsr')
  assert risk_control.choose_threshold(
    np.zeros((fewest, 1)), [0.5], limit, 0.95, 'wsr'
  )
  assert risk_control.fewest_units(0.05, 0.95, 'crc') == 19


def test_the_bound_depends_on_the_number_of_units_alone():
  assert risk_control.bound_for(99) == 'hb'
  assert risk_control.bound_for(100) == 'wsr'


def test_testing_stops_at_the_first_threshold_that_is_not_shown():
  # The third keeps the limit again, but the second stands before it.
  losses = np.tile([0.0, 0.5, 0.0], (400, 1))
  found = risk_control.choose_threshold(losses, [0.1, 0.2, 0.3], LIMIT)
  assert (found.threshold, found.index, found.units) == (0.1, 0, 400)
  assert found.p_values[2] <= 0.05 < found.p_values[1]
  worst = np.tile([0.5, 0.0, 0.0], (400, 1))
  assert risk_control.choose_threshold(worst, [0.1, 0.2, 0.3], LIMIT) is None
  every = risk_control.choose_threshold(losses[:, ::2], [0.1, 0.3], LIMIT)
  assert every.threshold == 0.3


def test_conformal_risk_control_by_hand():
  # 99 units of risk r: (99 r + 1) / 100 <= 0.05 where r <= 4 / 99.
  losses = np.zeros((99, 3))
  losses[:4, 1] = 1
  losses[:5, 2] = 1
  found = risk_control.choose_threshold(
    losses, [0.1, 0.2, 0.3], 0.05, bound='crc'
  )
  assert found.threshold == 0.2 and found.p_values is None


@pytest.mark.parametrize(
  ('losses', 'grid', 'limit', 'words'),
  [
    (np.full((9, 1), np.nan), [0.5], 0.05, 'in'),
    (np.full((9, 1), 1.1), [0.5], 0.05, 'in'),
    (np.full((9, 1), -0.1), [0.5], 0.05, 'in'),
    (np.zeros((0, 1)), [0.5], 0.05, 'no losses'),
    (np.zeros((9, 2)), [0.5], 0.05, 'fit'),
    (np.zeros((9, 2)), [0.5, 0.5], 0.05, 'ascend'),
    (np.zeros((9, 2)), [0.5, np.nan], 0.05, 'ascend'),
    (np.zeros((9, 1)), [0.5], 0.0, 'limit'),
    (np.zeros((9, 1)), [0.5], 1.0, 'limit'),
  ],
)
@pytest.mark.parametrize('bound', risk_control.BOUNDS)
def test_what_no_bound_is_about(losses, grid, limit, words, bound):
  with pytest.raises(ValueError, match=words):
    risk_control.choose_threshold(losses, grid, limit, 0.95, bound)


def _population(rng):
  """Losses [image, threshold] of images that differ in error and in F."""
  images, pixels = 3000, 300
  grid = np.linspace(0.01, 0.99, 60)
  rate = rng.beta(2, 8, (images, 1))
  quality = rng.uniform(0.5, 3, (images, 1))
  wrong = rng.random((images, pixels)) < rate
  logits = rng.normal(0, 1.2, wrong.shape) + np.where(wrong, quality, -quality)
  score = 1 / (1 + np.exp(-logits))
  passes = score[..., None] <= grid
  undetected = (wrong[..., None] & passes).mean(1)
  passing = passes.sum(1)
  of_passing = (wrong[..., None] & passes).sum(1) / np.maximum(passing, 1)
  return grid, {'undetected': undetected, 'passing': of_passing}


@pytest.fixture(scope='module')
def population():
  return _population(np.random.default_rng(0))


def _violations(losses, grid, count, bound, trials):
  """Share of calibrations whose true risk is above the limit; mean risk."""
  rng, truth = np.random.default_rng(1), losses.mean(0)
  risks = []
  for _ in range(trials):
    drawn = rng.integers(0, len(losses), count)
    found = risk_control.choose_threshold(
      losses[drawn], grid, LIMIT, CONFIDENCE, bound
    )
    risks.append(0.0 if found is None else truth[found.index])
  return np.mean(np.array(risks) > LIMIT), np.mean(risks)


@pytest.mark.slow
@pytest.mark.parametrize('risk', ['undetected', 'passing'])
@pytest.mark.parametrize(('count', 'bound'), [(60, 'hb'), (200, 'wsr')])
def test_promises_are_kept(population, risk, count, bound):
  grid, losses = population
  violated, _ = _violations(losses[risk], grid, count, bound, 1000)
  assert violated <= 1 - CONFIDENCE


@pytest.mark.slow
def test_conformal_risk_control_keeps_the_mean_alone(population):
  grid, losses = population
  _, mean = _violations(losses['undetected'], grid, 100, 'crc', 1000)
  assert mean <= LIMIT


@pytest.mark.slow
def test_pixels_are_no_units(population):
  """The same bound on pixels of whole images breaks the promise."""
  grid, losses = population
  truth, rng = losses['undetected'].mean(0), np.random.default_rng(2)
  violated = []
  for _ in range(300):
    risks = losses['undetected'][rng.integers(0, 3000, 100)].mean(0)
    p_values = risk_control._hoeffding_bentkus(risks, 100 * 300, LIMIT)
    index = int(np.argmin(p_values <= 0.05)) - 1
    violated.append(truth[index] > LIMIT)
  assert np.mean(violated) > 3 * (1 - CONFIDENCE)
