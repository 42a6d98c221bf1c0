"""What only the histogram does: bins, bounds, and keeping small classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.metrics.failure import FailureHistogram, failure_counts
from fsnet_jax.metrics.ranking import (
  METRICS,
  NOT_COUNTED,
  ExactFailure,
  pad_small,
)
from fsnet_jax.metrics.ranking.failure_histogram import EXACT_PIXELS
from fsnet_jax.metrics.ranking.score_keys import NUM_BINS, key_bins, score_keys
from tests.fsnet_jax.metrics.failure_references import fast_reference

MILLION = 1 << 20

# The same everywhere here, so that few programs are compiled.
NUM_GROUPS = 4

jitted_counts = jax.jit(
  failure_counts, static_argnames=('num_groups', 'keep_pixels')
)


def count(*arrays, keep_pixels=True):
  """Counts of one batch."""
  return jitted_counts(
    *map(jnp.asarray, pad_small(*arrays)),
    num_groups=NUM_GROUPS,
    keep_pixels=keep_pixels,
  )


def empty(exact_pixels=EXACT_PIXELS):
  return FailureHistogram.empty(NUM_GROUPS, exact_pixels)


def settled(metric):
  """The same, with nothing pending."""
  return FailureHistogram.from_arrays(metric.to_arrays())


# The thresholds of FPR95 and coverage lie in one bin, whose order is unknown;
# the other metrics sum over all bins, which evens the unknown orders out.
TOLERANCES = dict.fromkeys(METRICS, 1e-5) | {
  'fpr95_error': 1e-3,
  'fpr95_success': 1e-3,
  'coverage_at_5_risk': 1e-4,
}


def logits(size, rng):
  wrong = rng.random(size) < 0.1
  return (rng.normal(-3, 2, size) + 3 * wrong).astype(np.float32), wrong


def softmax_complement(size, rng):
  right_logit = rng.normal(4, 3, size)
  chance = 1 / (1 + np.exp(-right_logit))
  wrong = rng.random(size) > chance
  return (1 - chance.astype(np.float32)).astype(np.float32), wrong


def negative_confidence(size, rng):
  complement, wrong = softmax_complement(size, rng)
  return complement - 1, wrong


@pytest.mark.slow
@pytest.mark.parametrize(
  'draw', [logits, softmax_complement, negative_confidence]
)
def test_bins_against_scikit_learn_on_a_million_scores(draw):
  score, wrong = draw(MILLION, np.random.default_rng(0))
  valid, group = np.ones(MILLION, bool), np.zeros(MILLION, int)
  metric = empty(0).update(score, wrong, valid, group)
  pooled = metric.compute()['pooled']
  bounds = metric.intervals()['pooled']
  for name, expected in fast_reference(score, wrong).items():
    assert pooled[name] == pytest.approx(expected, abs=TOLERANCES[name]), name
    low, high = bounds[name]
    # The reference of these is off by up to 1 / n.
    sums = ('aurc', 'e_aurc', 'augrc', 'coverage_at_5_risk')
    slack = 1 / MILLION if name in sums else 1e-9
    assert low - slack <= expected <= high + slack, name
    assert low - 1e-12 <= pooled[name] <= high + 1e-12, name
    assert high - low < 0.01, name
    assert high > low, name


@pytest.mark.parametrize('seed', range(10))
def test_bounds_hold_the_exact_metrics_of_few_pixels(seed):
  rng = np.random.default_rng(seed)
  size = int(rng.integers(20, 3000))
  wrong = rng.random(size) < rng.uniform(0.02, 0.6)
  wrong[:2] = [True, False]
  # Narrow scores crowd the bins; rounding makes ties within bins.
  score = rng.normal(1.5, 0.02, size) + 0.01 * wrong
  score = np.round(score, int(rng.integers(3, 8))).astype(np.float32)
  arrays = score, wrong, np.ones(size, bool), np.zeros(size, int)
  exact = ExactFailure.empty(NUM_GROUPS).update(*arrays).compute()['pooled']
  bounds = empty(0).update(*arrays).intervals()
  widths = []
  for name in METRICS:
    low, high = bounds['pooled'][name]
    assert low - 1e-12 <= exact[name] <= high + 1e-12, name
    widths.append(high - low)
    assert bounds['per_class']['0'][name] == (low, high)
  assert max(widths) > 0


def test_bounds_meet_where_metrics_are_exact_or_undefined():
  rng = np.random.default_rng(0)
  score, wrong = logits(1000, rng)
  arrays = score, wrong, np.ones(1000, bool), rng.integers(0, 2, 1000)
  metric = empty().update(*arrays)
  values, bounds = metric.compute(), metric.intervals()
  for name in METRICS:
    assert bounds['pooled'][name] == (values['pooled'][name],) * 2
    assert bounds['per_class']['2'][name] is None
  rounded = np.round(score).astype(np.float32)
  metric = empty(0).update(rounded, *arrays[1:])
  values, bounds = metric.compute(), metric.intervals(['a', 'b', 'c', 'd'])
  for name in METRICS:
    expected = pytest.approx((values['pooled'][name],) * 2, abs=1e-12)
    assert bounds['pooled'][name] == expected
  assert list(bounds['per_class']) == ['a', 'b', 'c', 'd']


def test_groups_are_exact_up_to_the_limit_and_binned_beyond():
  rng = np.random.default_rng(0)
  group = np.repeat([0, 1, 2], [300, 301, 5])
  score, wrong = logits(606, rng)
  arrays = score, wrong, np.ones(606, bool), group
  exact = ExactFailure.empty(NUM_GROUPS).update(*arrays).compute()
  exact, whole = exact['per_class'], exact['pooled']
  binned = empty(0).update(*arrays).compute()
  metric = empty(300)
  for part in (slice(0, 400), slice(400, 606)):
    metric = metric.update(*(array[part] for array in arrays))
  result = metric.compute()
  assert result['per_class']['0'] == exact['0']
  assert result['per_class']['2'] == exact['2']
  assert result['per_class']['1'] == binned['per_class']['1']
  assert result['per_class']['1'] != exact['1']
  bounds = metric.intervals()['pooled']
  for name in METRICS:
    assert bounds[name][0] <= whole[name] <= bounds[name][1], name
    if 'fpr95' in name:
      assert result['pooled'][name] == whole[name] == bounds[name][0]
    elif name != 'coverage_at_5_risk':  # Its bin may hold one kind alone.
      assert bounds[name][0] < bounds[name][1], name
  assert len(settled(metric).store) == 305


def test_merging_keeps_what_one_pass_keeps():
  rng = np.random.default_rng(0)
  group = np.repeat([0, 1, 2], [400, 250, 5])
  score, wrong = logits(655, rng)
  order = rng.permutation(655)
  arrays = score[order], wrong[order], np.ones(655, bool), group[order]
  whole = empty(300).update(*arrays)
  parts = [
    empty(300).update(*(array[start : start + 131] for array in arrays))
    for start in range(0, 655, 131)
  ]
  merged = (
    parts[4].merge(parts[0]).merge(parts[2].merge(parts[1])).merge(parts[3])
  )
  assert merged.compute() == whole.compute()
  merged, whole = settled(merged), settled(whole)
  np.testing.assert_array_equal(merged.kept, [False, True, True, True])
  np.testing.assert_array_equal(merged.kept, whole.kept)
  assert len(merged.store) == 255
  assert merged.compute() == whole.compute()


def test_counts_without_pixels_are_binned():
  rng = np.random.default_rng(0)
  score, wrong = logits(500, rng)
  group = np.repeat([0, 1], 250)
  arrays = score, wrong, np.ones(500, bool), group
  bare = count(*(array[:250] for array in arrays), keep_pixels=False)
  assert bare.pixels is None
  full = count(*(array[250:] for array in arrays))
  result = empty().add(bare).add(full).compute()
  exact = ExactFailure.empty(NUM_GROUPS).update(*arrays).compute()
  binned = empty(0).update(*arrays).compute()
  assert result['per_class']['0'] == binned['per_class']['0']
  assert result['per_class']['1'] == exact['per_class']['1']
  assert result['pooled'] == binned['pooled']


def test_counts_of_a_batch():
  score = np.float32([1, 1, -2, 1.001, 5, np.nan])
  wrong = np.array([True, False, False, True, True, True])
  valid = np.array([True, True, True, True, False, False])
  group = np.array([0, 0, 1, 0, 255, 255])
  counts = count(score, wrong, valid, group, keep_pixels=False)
  assert counts.pixels is None
  keys = score_keys(jnp.asarray(score))
  bins = np.asarray(key_bins(keys))
  expected = np.zeros((NUM_GROUPS, 2, NUM_BINS), np.int32)
  expected[0, 1, bins[0]] = 2
  expected[0, 0, bins[0]] = 1
  expected[1, 0, bins[2]] = 1
  assert bins[3] == bins[0]
  assert counts.bins.histogram.dtype == jnp.int32
  np.testing.assert_array_equal(counts.bins.histogram, expected)
  assert counts.bins.lowest[bins[0]] == keys[0]
  assert counts.bins.highest[bins[0]] == keys[3]
  assert counts.bins.lowest[bins[4]] > counts.bins.highest[bins[4]]
  np.testing.assert_array_equal(counts.faults, [0, 0])
  assert counts.calibration is None
  pixels = count(score, wrong, valid, group)
  assert pixels.bins is None
  np.testing.assert_array_equal(pixels.pixels.keys[:6], keys)
  np.testing.assert_array_equal(
    pixels.pixels.codes[:7], [1, 0, 2, 1, *[NOT_COUNTED] * 3]
  )
  table = settled(empty().add(pixels)).table
  np.testing.assert_array_equal(table.histogram, expected)
  np.testing.assert_array_equal(table.lowest, counts.bins.lowest)
  np.testing.assert_array_equal(table.highest, counts.bins.highest)


def test_sums_beyond_int32():
  # Two scores; batches of as many pixels as int32 counts can hold.
  score = np.float32([2, 2, 1, 1])
  wrong = np.array([True, False, True, False])
  batch = count(score, wrong, wrong | True, wrong * 0, keep_pixels=False)
  weights = np.array([3, 1, 1, 4]) << 27
  histogram = np.zeros(batch.bins.histogram.shape, np.int32)
  bins = np.asarray(key_bins(score_keys(jnp.asarray(score))))
  histogram[0, wrong.astype(int), bins] = weights
  batch = batch.replace(bins=batch.bins.replace(histogram=histogram))
  metric = empty()
  for _ in range(10):
    metric = metric.add(batch)
  pooled = metric.merge(metric).compute()['pooled']
  assert pooled['pixels'] == 20 * int(weights.sum()) > 1 << 33
  assert pooled['errors'] == 80 << 27
  assert pooled['auroc'] == pytest.approx((3 * 4 + (3 + 4) / 2) / 20)
  assert pooled['ap_error'] == pytest.approx(3 / 4 * 3 / 4 + 1 / 4 * 4 / 9)


def test_batch_that_could_overflow_is_refused():
  shapes = [
    jax.ShapeDtypeStruct((1 << 16, 1 << 15), dtype)
    for dtype in (jnp.float32, jnp.bool_, jnp.bool_, jnp.int32)
  ]
  with pytest.raises(ValueError, match='overflows int32'):
    jax.eval_shape(lambda *arrays: failure_counts(*arrays, 2), *shapes)


def test_histograms_of_other_groups_or_limits_are_refused():
  counts = count(*(np.zeros(1, kind) for kind in (np.float32, bool, bool, int)))
  with pytest.raises(ValueError, match='4 groups'):
    FailureHistogram.empty(3).add(counts)
  with pytest.raises(ValueError, match='numbers of groups'):
    empty().merge(FailureHistogram.empty(3))
  with pytest.raises(ValueError, match='exact_pixels'):
    empty().merge(empty(7))
