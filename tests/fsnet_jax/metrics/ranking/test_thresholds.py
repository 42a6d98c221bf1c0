"""FPR95 stays exact though only the pixels around its threshold are kept."""

import dataclasses

import numpy as np
import pytest

from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.ranking import failure_histogram
from fsnet_jax.metrics.ranking.exact import ExactFailure
from fsnet_jax.metrics.ranking.fpr_window import NearThresholds

NUM_GROUPS = 4
LIMIT = 1 << 14
BATCH = 1 << 12
FPR = ('fpr95_error', 'fpr95_success')


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  """Counts after each batch, as millions of pixels would be."""
  monkeypatch.setattr(failure_histogram, '_PENDING', BATCH)


def empty(limit=LIMIT):
  """Keeps 16384 pixels near thresholds, and no group whole."""
  metric = FailureHistogram.empty(NUM_GROUPS, exact_pixels=1)
  return dataclasses.replace(metric, near=NearThresholds.empty(limit))


def draw(rng, size=BATCH, shift=0.0):
  wrong = rng.random(size) < 0.15
  score = rng.normal(-2 + 2 * wrong + shift, 1.5).astype(np.float32)
  return score, wrong, np.ones(size, bool), rng.integers(0, NUM_GROUPS, size)


def collect(batches, metric=None):
  metric = metric or empty()
  for batch in batches:
    metric = metric.update(*batch)
  return metric


def exact(batches):
  metric = ExactFailure.empty(NUM_GROUPS)
  for batch in batches:
    metric = metric.update(*batch)
  return metric.compute()['pooled']


def check_bounds(metric, expected):
  bounds = metric.intervals()['pooled']
  for name in FPR:
    low, high = bounds[name]
    assert low <= expected[name] <= high, name
  return bounds


@pytest.mark.parametrize('seed', range(3))
def test_exact_after_many_narrowings(seed):
  rng = np.random.default_rng(seed)
  # Batches differ, as images do.
  batches = [draw(rng, shift=rng.normal(0, 0.1)) for _ in range(24)]
  metric, expected = collect(batches), exact(batches)
  assert len(metric.near) <= LIMIT < 24 * BATCH / 5
  pooled, bounds = metric.compute()['pooled'], check_bounds(metric, expected)
  for name in FPR:
    assert pooled[name] == expected[name] == bounds[name][0] == bounds[name][1]
  assert pooled['auroc'] == pytest.approx(expected['auroc'], abs=1e-5)
  # With nothing kept it is what the bin tells.
  bare = collect(batches, empty(1))
  assert bare.compute()['pooled']['fpr95_error'] != expected['fpr95_error']


def test_falls_back_to_the_bin_where_the_threshold_has_left():
  rng = np.random.default_rng(0)
  batches = [draw(rng, shift=shift) for shift in [0.0] * 6 + [4.0] * 18]
  metric, expected = collect(batches), exact(batches)
  pooled, bounds = metric.compute()['pooled'], check_bounds(metric, expected)
  low, high = bounds['fpr95_error']
  assert low < high < low + 0.02
  assert low <= pooled['fpr95_error'] <= high


def test_merged_parts_are_exact_where_both_kept_the_threshold():
  rng = np.random.default_rng(1)
  batches = [draw(rng) for _ in range(12)]
  first, second = collect(batches[:5]), collect(batches[5:])
  expected = exact(batches)
  for merged in (first.merge(second), second.merge(first)):
    assert len(merged.near) <= LIMIT
    pooled = merged.compute()['pooled']
    for name in FPR:
      assert pooled[name] == expected[name]
  restored = FailureHistogram.from_arrays(merged.to_arrays())
  assert restored.compute() == merged.compute()
  # One that has counted nothing yet takes nothing away.
  assert empty().merge(merged).compute() == merged.compute()


def test_merging_strangers_falls_back():
  rng = np.random.default_rng(2)
  near = [draw(rng) for _ in range(8)]
  far = [draw(rng, shift=20) for _ in range(8)]
  metric, expected = collect(near).merge(collect(far)), exact(near + far)
  bounds = check_bounds(metric, expected)
  assert bounds['fpr95_error'][0] < bounds['fpr95_error'][1]


@pytest.mark.parametrize('kind', ['constant', 'two', 'no_error', 'all_wrong'])
def test_degenerate_scores(kind):
  rng = np.random.default_rng(3)
  batches = []
  for _ in range(4):
    score, wrong, valid, group = draw(rng)
    if kind == 'constant':
      score = np.full_like(score, 0.25)
    elif kind == 'two':
      score = np.where(rng.random(BATCH) < 0.5, 1, 2).astype(np.float32)
    else:
      wrong = np.full(BATCH, kind == 'all_wrong')
    batches.append((score, wrong, valid, group))
  pooled, expected = collect(batches).compute()['pooled'], exact(batches)
  for name in FPR:
    assert pooled[name] == expected[name]


def test_errors_that_come_late_are_bounded():
  # The threshold of the wrong is unknown when the first pixels are let go.
  rng = np.random.default_rng(4)
  batches = []
  for number in range(6):
    score, wrong, valid, group = draw(rng)
    batches.append((score, wrong & (number > 2), valid, group))
  metric, expected = collect(batches), exact(batches)
  check_bounds(metric, expected)
