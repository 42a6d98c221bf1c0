"""Ranking metrics of small rankings, against numbers worked out by hand."""

import itertools
import math

import numpy as np
import pytest

from fsnet_jax.metrics.ranking.ranking import (
  BUDGETS,
  COVERAGES,
  METRICS,
  RISKS,
  Ranking,
  caught_at_budget,
  coverage_at_risk,
  harmonic_difference,
  ranking_metrics,
  risk_at_coverage,
)
from tests.fsnet_jax.metrics import failure_references


def make(correct, wrong, tied=None) -> Ranking:
  correct, wrong = np.array(correct, np.int64), np.array(wrong, np.int64)
  tied = np.ones(len(wrong), bool) if tied is None else np.array(tied)
  return Ranking(correct, wrong, tied)


def test_hand_computed_ranking():
  # Most suspicious first: wrong, right, wrong, right.
  values = ranking_metrics(make([0, 1, 0, 1], [1, 0, 1, 0]))
  assert values['ap_error'] == pytest.approx((1 + 2 / 3) / 2)
  # From the trusted end: right, wrong, right, wrong.
  assert values['ap_success'] == pytest.approx((1 + 2 / 3) / 2)
  assert values['auroc'] == pytest.approx(3 / 4)
  assert values['fpr95_error'] == pytest.approx(1 / 2)
  assert values['fpr95_success'] == pytest.approx(1 / 2)
  # E(k) is 0 up to 1, rises to 1 at 2, stays to 3, rises to 2 at 4.
  area = (1 - math.log(2)) + math.log(3 / 2) + (1 - 2 * math.log(4 / 3))
  assert values['aurc'] == pytest.approx(area / 4)
  assert values['e_aurc'] == pytest.approx(
    area / 4 - (0.5 + 0.5 * math.log(0.5))
  )
  assert values['augrc'] == pytest.approx((0.5 + 1 + 1.5) / 16)
  assert values['base_error_rate'] == 0.5
  assert (values['pixels'], values['errors']) == (4, 2)


def test_one_tied_step_is_chance():
  values = ranking_metrics(make([7], [3]))
  assert values['ap_error'] == pytest.approx(0.3)
  assert values['ap_success'] == pytest.approx(0.7)
  assert values['auroc'] == 0.5
  assert values['fpr95_error'] == values['fpr95_success'] == 1
  assert values['aurc'] == pytest.approx(0.3)
  assert values['augrc'] == pytest.approx(0.15)


def test_perfect_ranking():
  values = ranking_metrics(make([0, 0, 5, 3], [1, 1, 0, 0]))
  assert values['ap_error'] == values['ap_success'] == values['auroc'] == 1
  assert values['fpr95_error'] == values['fpr95_success'] == 0
  assert values['e_aurc'] == pytest.approx(0, abs=1e-15)
  assert values['augrc'] == pytest.approx(0.2**2 / 2)


def test_inverted_ranking():
  values = ranking_metrics(make([8, 0], [0, 2]))
  assert values['auroc'] == 0
  assert values['ap_error'] == pytest.approx(0.2)
  assert values['fpr95_error'] == values['fpr95_success'] == 1


def test_the_two_fpr95_are_two_numbers():
  # Nine of ten errors lead; the last is trusted most.
  values = ranking_metrics(make([0, 90, 0], [9, 0, 1]))
  assert values['fpr95_error'] == 1
  assert values['fpr95_success'] == pytest.approx(1 / 10)


@pytest.mark.parametrize('errors', [20, 100, 1000])
def test_exactly_95_percent_is_enough(errors):
  found = errors * 95 // 100
  steps = make([0, 4, 6], [found, 0, errors - found])
  assert ranking_metrics(steps)['fpr95_error'] == 0
  steps = make([0, 4, 6], [found - 1, 0, errors - found + 1])
  assert ranking_metrics(steps)['fpr95_error'] == 1


@pytest.mark.parametrize(
  ('correct', 'wrong'), [([3, 2], [0, 0]), ([0, 0], [1, 4]), ([], [])]
)
def test_one_kind_of_pixel_leaves_nothing_to_rank(correct, wrong):
  values = ranking_metrics(make(correct, wrong))
  assert all(values[metric] is None for metric in METRICS)
  pixels = sum(correct) + sum(wrong)
  expected = sum(wrong) / pixels if pixels else None
  assert values['base_error_rate'] == expected


def test_untied_step_takes_the_mean_over_all_orders():
  orders = []
  for places in itertools.combinations(range(10), 4):
    middle = np.isin(np.arange(10), places)
    wrong = np.concatenate([[True, False], middle, [False, True, False]])
    orders.append(ranking_metrics(make(~wrong, wrong)))
  steps = make(
    [0, 1, 6, 1, 0, 1],
    [1, 0, 4, 0, 1, 0],
    [True, True, False, True, True, True],
  )
  expected = ranking_metrics(steps)
  for metric in METRICS:
    mean = np.mean([values[metric] for values in orders])
    assert mean == pytest.approx(expected[metric], rel=1e-12)


def test_ap_success_is_the_mean_of_one_minus_risk_over_recall():
  rng = np.random.default_rng(1)
  wrong = rng.random(500) < 0.3
  trusted = wrong[::-1]
  risk = np.cumsum(trusted) / np.arange(1, 501)
  expected = np.mean(1 - risk[~trusted])
  values = ranking_metrics(make(~wrong, wrong))
  assert values['ap_success'] == pytest.approx(expected)


def test_augrc_follows_from_auroc():
  rng = np.random.default_rng(2)
  values = ranking_metrics(make(rng.integers(0, 9, 50), rng.integers(0, 5, 50)))
  rate = values['base_error_rate']
  expected = (1 - values['auroc']) * rate * (1 - rate) + rate**2 / 2
  assert values['augrc'] == pytest.approx(expected)


def test_risk_at_coverage():
  # Ten pixels, the two wrong ones in places 1 and 4 of suspicion.
  wrong = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0])
  risks = risk_at_coverage(make(1 - wrong, wrong))
  assert list(risks) == list(COVERAGES)
  expected = [0, 0, 0, 0, 0, 0, 1 / 7, 1 / 8, 1 / 9, 2 / 10]
  assert list(risks.values()) == pytest.approx(expected)


def test_risk_of_tied_pixels_is_their_error_rate():
  risks = risk_at_coverage(make([30], [10]))
  assert list(risks.values()) == pytest.approx([0.25] * 10)


def test_risk_is_defined_without_errors_but_not_without_pixels():
  assert set(risk_at_coverage(make([5], [0])).values()) == {0}
  assert set(risk_at_coverage(make([0, 0], [1, 2])).values()) == {1}
  assert set(risk_at_coverage(make([], [])).values()) == {None}


def test_counts_beyond_int32_and_float32():
  billion = 10**9
  values = ranking_metrics(make([billion, 4 * billion], [billion, 0]))
  assert values['pixels'] == 6 * billion
  assert values['auroc'] == pytest.approx((4 + 1 / 2) / 5, rel=1e-12)
  assert values['ap_error'] == pytest.approx(1 / 2, rel=1e-12)


def test_harmonic_difference_against_direct_sums():
  starts = np.array([0, 0, 0, 1, 5, 63, 64, 65, 100, 10**4, 10**6])
  counts = np.array([0, 1, 1000, 62, 10, 2, 1, 0, 3000, 10, 10**5])
  expected = [
    math.fsum(1 / k for k in range(start + 1, start + count + 1))
    for start, count in zip(starts, counts)
  ]
  np.testing.assert_allclose(
    harmonic_difference(starts, counts), expected, rtol=1e-12
  )


def test_caught_at_budget_by_hand():
  # 100 pixels, 4 errors: one first, one among the next nine, two last.
  found = caught_at_budget(make([0, 4, 4, 88, 0], [1, 0, 1, 0, 2]))
  assert tuple(found) == BUDGETS
  assert found['0.01'] == pytest.approx(1 / 4)
  assert found['0.05'] == pytest.approx(1 / 4)
  # Half of one error's step of five is flagged at 10 %: all of it.
  assert found['0.1'] == pytest.approx(2 / 4)


def test_caught_at_budget_of_chance_perfection_and_nothing():
  chance = caught_at_budget(make([90], [10]))
  assert chance == pytest.approx({'0.01': 0.01, '0.05': 0.05, '0.1': 0.1})
  perfect = caught_at_budget(make([0, 95], [5, 0]))
  assert perfect == pytest.approx({'0.01': 0.2, '0.05': 1.0, '0.1': 1.0})
  assert caught_at_budget(make([7], [0])) == dict.fromkeys(BUDGETS)
  assert caught_at_budget(make([0], [7])) == pytest.approx(chance)


def test_coverage_at_risk_by_hand():
  # From the trusted end: 57 right ones, 3 wrong, 20 right, 20 wrong.
  found = coverage_at_risk(make([0, 20, 0, 57], [20, 0, 3, 0]))
  assert tuple(found) == tuple(RISKS)
  # t of the wrong ones so that t = 0.01 (57 + t), in random order.
  assert found['0.01'] == pytest.approx((57 + 0.57 / 0.99) / 100)
  # 3 of 60 are 5 % exactly, and 3 of 80 less; then t more wrong ones.
  assert found['0.05'] == pytest.approx((80 + 1 / 0.95) / 100)
  assert found['0.1'] == pytest.approx((80 + 5 / 0.9) / 100)


@pytest.mark.parametrize('errors', range(1, 60))
def test_exactly_the_risk_is_within_it(errors):
  # In floating point 0.05 times such a number is often too small.
  steps = make([0, 19 * errors], [1, errors])
  pixels = 20 * errors + 1
  # The one error more takes what its own place in the sum allows: nothing.
  assert coverage_at_risk(steps)['0.05'] == 20 * errors / pixels


def test_coverage_comes_back_where_the_risk_falls_again():
  # The most trusted pixel is wrong, but one of 25 is within 5 %.
  found = coverage_at_risk(make([0, 24, 0], [5, 0, 1]))
  assert found['0.01'] == 0
  assert found['0.05'] == pytest.approx((25 + 0.25 / 0.95) / 30)


def test_coverage_of_chance_perfection_and_nothing():
  # All scores are one: the whole or nothing.
  assert set(coverage_at_risk(make([96], [4])).values()) == {0, 1}
  assert coverage_at_risk(make([94], [6]))['0.05'] == 0
  assert set(coverage_at_risk(make([5, 2], [0, 0])).values()) == {1}
  assert set(coverage_at_risk(make([0, 0], [1, 4])).values()) == {0}
  assert coverage_at_risk(make([], [])) == dict.fromkeys(RISKS)
  assert coverage_at_risk(make([0], [0])) == dict.fromkeys(RISKS)
  perfect = coverage_at_risk(make([0, 90], [10, 0]))
  assert perfect['0.1'] == 1
  assert perfect['0.05'] == pytest.approx((90 + 4.5 / 0.95) / 100)


@pytest.mark.parametrize('levels', [2, 7, 100, 10**6])
@pytest.mark.parametrize('rate', [0.01, 0.05, 0.3, 0.95])
def test_coverage_against_every_corner(levels, rate):
  rng = np.random.default_rng(levels)
  for size in (1, 2, 30, 400):
    wrong = rng.random(size) < rate
    score = np.floor((rng.random(size) + wrong) * levels)
    keys = np.unique(score)[::-1]
    steps = make(
      [np.sum(~wrong[score == key]) for key in keys],
      [np.sum(wrong[score == key]) for key in keys],
    )
    for risk, share in coverage_at_risk(steps).items():
      expected = failure_references.coverage_at_risk(score, wrong, float(risk))
      assert share == pytest.approx(expected, abs=1e-9)
