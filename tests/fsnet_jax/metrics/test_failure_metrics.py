"""What the histogram and the exact metric have in common.

Every test of `TestContract` runs on both accumulators, and on a histogram
that keeps no pixels, as far as it claims to be exact.
"""

import functools

import numpy as np
import pytest

from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.ranking import METRICS, ExactFailure, pad_small
from tests.fsnet_jax.metrics.failure_references import failures_curve, reference

NUM_CLASSES = 4

KINDS = {
  'exact': functools.partial(ExactFailure.empty, NUM_CLASSES),
  'histogram': functools.partial(FailureHistogram.empty, NUM_CLASSES),
  'bins_only': functools.partial(FailureHistogram.empty, NUM_CLASSES, 0),
}


def draw(size, seed=0, errors=0.3):
  """Overlapping scores, errors, all valid, random classes."""
  rng = np.random.default_rng(seed)
  wrong = rng.random(size) < errors
  score = (rng.normal(-1, 2, size) + 2 * wrong).astype(np.float32)
  group = rng.integers(0, NUM_CLASSES, size)
  return score, wrong, np.ones(size, bool), group


def distinct_bins(size, seed=0):
  """Scores so far apart that each distinct one has its bin."""
  score, wrong, valid, group = draw(size, seed)
  return np.round(score * 4) / 4, wrong, valid, group


def check(values, score, wrong):
  for metric, expected in reference(score, wrong).items():
    # The reference integrates AURC numerically.
    tolerance = 1e-6 if 'aurc' in metric else 1e-11
    assert values[metric] == pytest.approx(expected, abs=tolerance), metric


@pytest.fixture(params=KINDS)
def empty(request):
  return KINDS[request.param]()


class TestContract:
  def test_ties_as_in_scikit_learn(self, empty):
    score, wrong, valid, group = distinct_bins(1000)
    result = empty.update(score, wrong, valid, group).compute()
    check(result['pooled'], score, wrong)
    for index in range(NUM_CLASSES):
      mine = group == index
      check(result['per_class'][str(index)], score[mine], wrong[mine])

  def test_integer_scores(self, empty):
    rng = np.random.default_rng(5)
    wrong = rng.random(800) < 0.2
    score = (rng.poisson(3, 800) + wrong).astype(np.float32)
    result = empty.update(score, wrong, wrong | True, wrong * 1).compute()
    check(result['pooled'], score, wrong)

  def test_rounded_scores(self, empty):
    score, wrong, valid, group = draw(1000, 3)
    score = np.round(score, 1)
    result = empty.update(score, wrong, valid, group).compute()
    check(result['pooled'], score, wrong)

  def test_constant_score_is_chance(self, empty):
    _, wrong, valid, group = draw(1000)
    score = np.full(1000, -3.7, np.float32)
    values = empty.update(score, wrong, valid, group).compute()
    rate = wrong.mean()
    pooled = values['pooled']
    assert pooled['ap_error'] == pytest.approx(rate)
    assert pooled['ap_success'] == pytest.approx(1 - rate)
    assert pooled['auroc'] == pytest.approx(0.5)
    assert pooled['aurc'] == pytest.approx(rate)
    risks = list(values['risk_at_coverage'].values())
    assert risks == pytest.approx([rate] * 10)

  def test_perfect_and_inverted_ranking(self, empty):
    _, wrong, valid, group = draw(1000)
    magnitude = np.random.default_rng(1).uniform(1, 2, 1000)
    score = np.where(wrong, magnitude, -magnitude).astype(np.float32)
    pooled = empty.update(score, wrong, valid, group).compute()['pooled']
    for metric in ('ap_error', 'ap_success', 'auroc'):
      assert pooled[metric] == pytest.approx(1)
    assert pooled['fpr95_error'] == pooled['fpr95_success'] == 0
    assert pooled['e_aurc'] == pytest.approx(0, abs=1e-12)
    pooled = empty.update(-score, wrong, valid, group).compute()['pooled']
    assert pooled['auroc'] == pytest.approx(0, abs=1e-12)
    assert pooled['fpr95_error'] == pooled['fpr95_success'] == 1

  @pytest.mark.parametrize('all_wrong', [False, True])
  def test_one_kind_of_pixel_is_not_defined(self, empty, all_wrong):
    score, _, valid, group = draw(50)
    wrong = np.full(50, all_wrong)
    result = empty.update(score, wrong, valid, group).compute()
    for metric in METRICS:
      assert result['pooled'][metric] is None
      assert result['class_macro'][metric] is None
      assert result['class_macro_classes'][metric] == 0
    assert result['pooled']['base_error_rate'] == float(all_wrong)
    assert set(result['risk_at_coverage'].values()) == {float(all_wrong)}

  def test_no_pixel_at_all(self, empty):
    score, wrong, valid, group = draw(50)
    for metric in (empty, empty.update(score, wrong, ~valid, group)):
      result = metric.compute()
      assert result['pooled']['pixels'] == 0
      assert result['pooled']['base_error_rate'] is None
      assert result['pooled']['auroc'] is None
      assert set(result['risk_at_coverage'].values()) == {None}

  def test_empty_batch(self, empty):
    metric = empty.update(*(array[:0] for array in draw(5)))
    assert metric.compute()['pooled']['pixels'] == 0

  def test_single_pixel(self, empty):
    result = empty.update(
      np.float32([2.5]), np.array([True]), np.array([True]), np.array([1])
    ).compute()
    assert result['pooled']['pixels'] == result['pooled']['errors'] == 1
    assert result['pooled']['ap_error'] is None
    assert result['per_class']['1']['base_error_rate'] == 1

  def test_macro_leaves_out_what_is_not_defined(self, empty):
    score, wrong, valid, group = distinct_bins(1000)
    wrong = wrong & (group != 2)
    valid = group != 3
    result = empty.update(score, wrong, valid, group).compute()
    expected = [
      reference(score[group == index], wrong[group == index])
      for index in (0, 1)
    ]
    for metric in METRICS:
      mean = (expected[0][metric] + expected[1][metric]) / 2
      tolerance = 1e-6 if 'aurc' in metric else 1e-11
      assert result['class_macro'][metric] == pytest.approx(mean, abs=tolerance)
      assert result['class_macro_classes'][metric] == 2
      assert result['per_class']['2'][metric] is None
      assert result['per_class']['3'][metric] is None
    assert result['per_class']['2']['base_error_rate'] == 0
    assert result['per_class']['3']['base_error_rate'] is None

  def test_risk_at_coverage(self, empty):
    score, wrong, valid, group = distinct_bins(990)
    result = empty.update(score, wrong, valid, group).compute()
    kept, failures = failures_curve(score, wrong)
    for tenth in range(1, 11):
      size = 99 * tenth
      expected = np.interp(size, kept, failures) / size
      risk = result['risk_at_coverage'][f'{tenth / 10:.1f}']
      assert risk == pytest.approx(expected)
    assert result['risk_at_coverage']['1.0'] == pytest.approx(wrong.mean())
    macro = np.mean([wrong[group == i].mean() for i in range(NUM_CLASSES)])
    risk = result['risk_at_coverage_class_macro']['1.0']
    assert risk == pytest.approx(macro)

  def test_extreme_scores(self, empty):
    largest = np.finfo(np.float32).max
    values = [-largest, -1e30, -1, -1e-30, -1e-38, 0]
    values += [1e-38, 1e-30, 1, 1e30, largest]
    score = np.repeat(np.array(values, np.float32), 20)
    wrong = np.random.default_rng(0).random(220) < np.arange(220) / 220
    result = empty.update(score, wrong, wrong | True, wrong * 0).compute()
    # scikit-learn's arithmetic would flush what is almost zero: use ranks.
    check(result['pooled'], np.repeat(np.arange(11.0), 20), wrong)

  def test_signed_zeros_tie(self, empty):
    wrong = np.array([True, False] * 10)
    score = np.where(wrong, 0.0, -0.0).astype(np.float32)
    result = empty.update(score, wrong, wrong | True, wrong * 0).compute()
    assert result['pooled']['auroc'] == 0.5

  def test_invalid_pixels_may_hold_anything(self, empty):
    score, wrong, valid, group = distinct_bins(600)
    valid = np.arange(600) % 3 > 0
    clean = empty.update(score[valid], wrong[valid], valid[valid], group[valid])
    score[~valid] = np.resize([np.nan, np.inf, -np.inf], 200)
    group[~valid] = np.resize([255, -1], 200)
    probability = np.where(valid, 0.5, np.nan).astype(np.float32)
    metric = empty.update(score, wrong, valid, group, probability)
    assert metric.compute()['pooled']['ece'] is not None
    metric = empty.update(score, wrong, valid, group)
    assert metric.compute() == clean.compute()

  @pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
  def test_score_that_is_not_finite_is_refused(self, empty, value):
    score, wrong, valid, group = draw(100)
    score[[3, 50, 99]] = value
    metric = empty.update(score, wrong, valid, group)
    with pytest.raises(ValueError, match='3 valid pixels .* NaN or infinite'):
      metric.compute()
    with pytest.raises(ValueError, match='3 valid pixels'):
      empty.merge(metric).compute()

  def test_float64_beyond_float32_is_refused(self, empty):
    arrays = [np.array([1e39, 0.0]), *(array[:2] for array in draw(2)[1:])]
    with pytest.raises(ValueError, match='1 valid pixels'):
      empty.update(*arrays).compute()

  @pytest.mark.parametrize('value', [-1, NUM_CLASSES, 255])
  def test_unknown_group_is_refused(self, empty, value):
    score, wrong, valid, group = draw(100)
    group[:2] = value
    metric = empty.update(score, wrong, valid, group)
    with pytest.raises(ValueError, match='2 valid pixels .* groups'):
      metric.compute()

  def test_shape_does_not_matter(self, empty):
    arrays = draw(600)
    flat = empty.update(*arrays)
    shaped = empty.update(*(array.reshape(2, 20, 15) for array in arrays))
    assert shaped.compute() == flat.compute()

  def test_parts_give_what_one_pass_gives(self, empty):
    arrays = draw(3000)
    probability = np.random.default_rng(9).random(3000).astype(np.float32)
    arrays = (*arrays, probability)
    whole = empty.update(*arrays)
    a, b, c = (
      empty.update(*(array[part] for array in arrays))
      for part in (slice(0, 100), slice(100, 1700), slice(1700, 3000))
    )
    expected = whole.compute()
    assert expected['pooled']['ece'] is not None
    assert a.merge(b).merge(c).compute() == expected
    assert a.merge(b.merge(c)).compute() == expected
    assert c.merge(a).merge(b).compute() == expected
    assert empty.merge(whole).compute() == expected
    again = empty
    for part in (slice(0, 2500), slice(2500, 3000)):
      again = again.update(*(array[part] for array in arrays))
    assert again.compute() == expected

  def test_update_leaves_the_old_one_alone(self, empty):
    first = empty.update(*draw(100, 0))
    before = first.compute()
    first.update(*draw(100, 1))
    first.merge(empty.update(*draw(100, 2)))
    assert first.compute() == before
    assert empty.compute()['pooled']['pixels'] == 0

  def test_saved_and_restored(self, empty, tmp_path):
    metric = empty.update(*draw(500), np.full(500, 0.25, np.float32))
    np.savez(tmp_path / 'state.npz', **metric.to_arrays())
    with np.load(tmp_path / 'state.npz') as arrays:
      restored = type(metric).from_arrays(arrays)
    assert restored.compute() == metric.compute()
    more = draw(500, 1), np.full(500, 0.5, np.float32)
    expected = metric.update(*more[0], more[1]).compute()
    assert restored.update(*more[0], more[1]).compute() == expected

  def test_names(self, empty):
    metric = empty.update(*draw(100))
    names = ['road', 'sidewalk', 'building', 'wall']
    result = metric.compute(names)
    assert list(result['per_class']) == names
    numbered = metric.compute()['per_class']
    assert list(result['per_class'].values()) == list(numbered.values())
    with pytest.raises(ValueError, match='3 names for 4'):
      metric.compute(names[:3])

  def test_rare_errors(self, empty):
    score, _, valid, group = distinct_bins(5000)
    wrong = np.zeros(5000, bool)
    wrong[[17, 4000, 4444]] = True
    result = empty.update(score, wrong, valid, group).compute()
    check(result['pooled'], score, wrong)


def test_arrays_of_different_shapes_are_refused():
  with pytest.raises(ValueError, match='differ in shape'):
    pad_small(np.zeros((2, 3)), np.zeros(6, bool), None)


def test_zero_is_not_the_smallest_number():
  score = np.array([1e-45, 0, -1e-45], np.float32)
  wrong, valid = np.array([True, False, False]), np.ones(3, bool)
  for kind in ('exact', 'histogram'):
    metric = KINDS[kind]().update(score, wrong, valid, np.zeros(3, int))
    assert metric.compute()['pooled']['auroc'] == 1
