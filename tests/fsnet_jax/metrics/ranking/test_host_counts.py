"""Counting and picking on the host, against numpy."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.ranking import host_counts
from fsnet_jax.metrics.ranking.binned import BinTable
from fsnet_jax.metrics.ranking.fpr_window import NearThresholds
from fsnet_jax.metrics.ranking.pixels import NOT_COUNTED, PixelStore
from fsnet_jax.metrics.ranking.score_keys import NUM_BINS, key_bins, score_keys

NUM_GROUPS = 3
SLICE = 1 << 6
PIECE = 1 << 10


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
  monkeypatch.setattr(host_counts, '_SLICE', SLICE)
  monkeypatch.setattr(host_counts, '_PIECE', PIECE)


def draw(size, seed):
  """Keys and codes, a few not counted and many scores shared."""
  rng = np.random.default_rng(seed)
  # Of one size first, since each size is compiled.
  scores = rng.normal(0, 2, 2 * PIECE)
  scores[rng.random(scores.size) < 0.3] = 0.5
  codes = rng.integers(0, 2 * NUM_GROUPS, scores.size).astype(np.uint16)
  codes[rng.random(scores.size) < 0.1] = NOT_COUNTED
  keys = np.asarray(score_keys(jnp.asarray(scores, jnp.float32)))
  return keys[:size], codes[:size]


def stored(*sizes):
  store = PixelStore(NUM_GROUPS)
  for seed, size in enumerate(sizes):
    store = store.append(*draw(size, seed))
  return store


def expected(store):
  """The plain count of all pixels, by numpy."""
  keys, codes = store.arrays()
  counted = codes < 2 * NUM_GROUPS
  keys, codes = keys[counted], codes[counted]
  bins = np.asarray(key_bins(jnp.asarray(keys)))
  histogram = np.zeros((2 * NUM_GROUPS, NUM_BINS), int)
  np.add.at(histogram, (codes, bins), 1)
  table = BinTable.empty(NUM_GROUPS)
  np.minimum.at(table.lowest, bins, keys)
  np.maximum.at(table.highest, bins, keys)
  return histogram.reshape(NUM_GROUPS, 2, -1), table.lowest, table.highest


# Less than a slice; a whole number of them and not, and many small batches.
@pytest.mark.parametrize(
  'sizes', [(5,), (PIECE + 7, PIECE, 300, 900, 200, PIECE, 1)]
)
def test_counts_are_those_of_numpy(sizes):
  store = stored(*sizes)
  table = BinTable.empty(NUM_GROUPS)
  for counts in host_counts.count(host_counts.in_pieces(store)):
    table = table.add(counts)
  histogram, lowest, highest = expected(store)
  np.testing.assert_array_equal(table.histogram, histogram)
  np.testing.assert_array_equal(table.lowest, lowest)
  np.testing.assert_array_equal(table.highest, highest)
  assert table.histogram.sum() == store.num_counted() > 0


def test_few_lengths_reach_the_compiler():
  store = stored(*range(1, 60), PIECE, 3, PIECE)
  pieces = host_counts.in_pieces(store)
  assert set(map(len, pieces.keys)) <= {PIECE, 1 << 12}
  assert pieces.num_counted() == store.num_counted()


@pytest.mark.parametrize('groups', [(), (1,), (0, 2), (0, 1, 2)])
def test_picks_ranges_and_groups(groups):
  store = stored(700, PIECE, 600)
  keys, codes = store.arrays()
  low, high = np.quantile(keys, [0.4, 0.5]).astype(np.uint32)
  ranges = np.array([[low, high], [0xFFFFFFFF, 0]], np.uint32)
  of_group = np.isin(np.arange(NUM_GROUPS), groups)
  picked = host_counts.pick(host_counts.in_pieces(store), ranges, of_group)
  wanted = (codes < 6) & (
    ((keys >= low) & (keys <= high)) | np.isin(codes // 2, groups)
  )
  for found, expected in zip(picked.arrays(), (keys[wanted], codes[wanted])):
    assert sorted(found) == sorted(expected)
  assert wanted.sum() > 0


@pytest.mark.parametrize('cores', [1, 2, 64])
def test_threads_change_nothing(monkeypatch, cores):
  monkeypatch.setattr(host_counts.os, 'cpu_count', lambda: cores)
  store = stored(*[PIECE] * 7)
  counts = host_counts.count(host_counts.in_pieces(store))
  assert len(counts) == min(cores, 4)
  total = sum(part.histogram for part in counts)
  np.testing.assert_array_equal(total, expected(store)[0])


def test_what_is_asked_for_last_keeps_only_what_decides():
  """The end of the data is known: no pixel beside the thresholds is needed."""
  metric = dataclasses.replace(
    FailureHistogram.empty(NUM_GROUPS, exact_pixels=1),
    near=NearThresholds.empty(1 << 14),
  )
  rng = np.random.default_rng(0)
  wrong = rng.random(20_000) < 0.2
  score = rng.normal(2 * wrong, 2).astype(np.float32)
  group = rng.integers(0, NUM_GROUPS, wrong.size)
  metric = metric.update(score, wrong, np.ones_like(wrong), group)
  final, more = metric._counted(final=True), metric._counted()
  assert 0 < len(final.near) < len(more.near) / 4
  assert final.compute() == more.compute() == metric.compute()
