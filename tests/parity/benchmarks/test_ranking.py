"""The ways to rank that ours are timed against are right."""

import numpy as np
import pytest

from benchmarks.failure_metrics import (
  METRICS,
  NUM_CLASSES,
  draw_pixels,
  reference_metrics,
)
from benchmarks.peers import ranking

_RNG = np.random.default_rng(0)
_SCORES = {
  'distinct': _RNG.normal(size=500),
  'ties': _RNG.integers(-3, 4, 500),
  'two': np.array([0.5, -0.5]),
  'zeros of both signs': np.array([0.0, -0.0, 0.0, -0.0, 1.0]),
  'one value': np.full(7, -2.0),
}


def _case(name):
  score = _SCORES[name].astype(np.float32)
  wrong = np.arange(len(score)) % 3 == 0
  return score, wrong


@pytest.mark.parametrize('way', ['numpy_sort', 'torch_sort'])
@pytest.mark.parametrize('name', _SCORES)
def test_sorts_against_scikit_learn(way, name):
  score, wrong = _case(name)
  found = getattr(ranking, way)(score, wrong)
  expected = reference_metrics(score, wrong)
  assert found.keys() == set(METRICS)
  # The order within a tie decides on AURC, which each has in its own.
  for metric in METRICS if name == 'distinct' else METRICS[:-1]:
    assert found[metric] == pytest.approx(expected[metric], abs=1e-6), metric


@pytest.mark.parametrize('name', _SCORES)
def test_counts_are_exact_where_a_bin_has_one_score(name):
  score, wrong = _case(name)
  # The bins of the first 16 bits, so that each has one.
  score = ((score + 0.0).view(np.uint32) & 0xFFFF0000).view(np.float32)
  valid = np.ones(len(score), bool)
  valid[-1] = len(score) < 5
  group = np.zeros(len(score), np.uint8)
  pooled, *groups = ranking.torch_counts(score, wrong, valid, group, 1)
  expected = reference_metrics(score[valid], wrong[valid])
  for metric in METRICS[:-1]:
    assert pooled[metric] == pytest.approx(expected[metric], abs=1e-6), metric
  assert groups == [pooled]


def test_counts_of_many_scores_are_close_and_by_group():
  score, wrong, valid, group = draw_pixels(20_000, 0)
  found = ranking.torch_counts(score, wrong, valid, group, NUM_CLASSES)
  chosen = [valid, *(valid & (group == index) for index in range(3))]
  for own, mask in zip(found, chosen, strict=False):
    expected = reference_metrics(score[mask], wrong[mask])
    assert ranking.largest_error(own, expected, METRICS) < 5e-3
