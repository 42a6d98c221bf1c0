"""Expected calibration error against a plain numpy one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fsnet_jax.metrics import calibration
from fsnet_jax.metrics.calibration import Calibration, calibration_counts
from fsnet_jax.metrics.failure import FailureHistogram
from fsnet_jax.metrics.ranking import ExactFailure, pad_small

jitted_counts = jax.jit(calibration_counts, static_argnums=4)


def expected_error(probability, wrong):
  """ECE with 15 bins (j/15, (j+1)/15] of confidence, in float64."""
  confidence = 1 - probability.astype(np.float64)
  edges = np.linspace(0, 1, 16)
  error = 0.0
  for low, high in zip(edges, edges[1:]):
    inside = (confidence > low) & (confidence <= high)
    if inside.any():
      gap = np.mean(~wrong[inside]) - np.mean(confidence[inside])
      error += inside.mean() * abs(gap)
  return error


def counts(probability, wrong, valid=None, group=None, num_groups=1):
  size = len(probability)
  valid = np.ones(size, bool) if valid is None else valid
  group = np.zeros(size, int) if group is None else group
  arrays = pad_small(np.asarray(probability, np.float32), wrong, valid, group)
  return jitted_counts(*map(jnp.asarray, arrays), num_groups)


def test_against_numpy_by_group_and_pooled():
  rng = np.random.default_rng(0)
  probability = rng.beta(0.3, 1.5, 20_000).astype(np.float32)
  wrong = rng.random(20_000) < probability**1.5
  group = rng.integers(0, 3, 20_000)
  sums = Calibration.empty(3).add(counts(probability, wrong, None, group, 3))
  *groups, pooled = sums.errors(np.bincount(group))
  assert pooled == pytest.approx(expected_error(probability, wrong), abs=1e-6)
  assert pooled > 0.01
  for index, value in enumerate(groups):
    mine = group == index
    expected = expected_error(probability[mine], wrong[mine])
    assert value == pytest.approx(expected, abs=1e-6)


def test_by_hand():
  # Confidence 0.9 and right twice of three: |2/3 - 0.9|; confidence 0.5 and
  # wrong: 0.5.
  probability = np.array([0.1, 0.1, 0.1, 0.5])
  wrong = np.array([False, True, False, True])
  sums = Calibration.empty(1).add(counts(probability, wrong))
  expected = 0.75 * abs(2 / 3 - 0.9) + 0.25 * 0.5
  assert sums.errors(np.array([4]))[-1] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
  ('probability', 'wrong', 'expected'),
  [(0.0, False, 0.0), (0.0, True, 1.0), (1.0, True, 0.0), (1.0, False, 1.0)],
)
def test_certainty(probability, wrong, expected):
  sums = Calibration.empty(1).add(
    counts(np.full(50, probability), np.full(50, wrong))
  )
  assert sums.errors(np.array([50]))[-1] == expected


def test_blocks_do_not_change_the_sums(monkeypatch):
  rng = np.random.default_rng(0)
  probability = rng.random(1000).astype(np.float32)
  wrong = rng.random(1000) < 0.5
  whole = Calibration.empty(1).add(counts(probability, wrong))
  monkeypatch.setattr(calibration, '_BLOCK_BITS', 6)
  # Compiled programs do not know of the change.
  jitted_counts.clear_cache()
  blocks = counts(probability, wrong)
  jitted_counts.clear_cache()
  assert len(blocks.gaps) == 4096 / 64
  parts = Calibration.empty(1).add(blocks)
  np.testing.assert_array_equal(parts.gaps, whole.gaps)
  assert parts.pixels == whole.pixels == 1000


@pytest.mark.parametrize('wrong', [False, True])
def test_full_blocks_of_the_largest_gaps_fit(wrong):
  size = 4096
  probability = np.full(size, float(not wrong), np.float32)
  sums = Calibration.empty(1).add(counts(probability, np.full(size, wrong)))
  assert abs(sums.gaps.sum()) == size << 20


@pytest.mark.parametrize('kind', [ExactFailure, FailureHistogram])
def test_accumulators_report_it_only_if_known_for_all_pixels(kind):
  rng = np.random.default_rng(0)
  probability = rng.random(300).astype(np.float32)
  wrong = rng.random(300) < probability
  arrays = probability, wrong, np.ones(300, bool), np.zeros(300, int)
  assert kind.empty(4).compute()['pooled']['ece'] is None
  known = kind.empty(4).update(*arrays, probability)
  result = known.compute()
  expected = pytest.approx(expected_error(probability, wrong), abs=1e-6)
  assert result['pooled']['ece'] == expected
  assert result['class_macro']['ece'] == expected
  assert result['class_macro_classes']['ece'] == 1
  assert result['per_class']['1']['ece'] is None
  unknown = kind.empty(4).update(*arrays)
  assert unknown.compute()['pooled']['ece'] is None
  assert known.merge(unknown).compute()['pooled']['ece'] is None
  assert known.merge(known).compute()['pooled']['ece'] == expected


@pytest.mark.parametrize('kind', [ExactFailure, FailureHistogram])
@pytest.mark.parametrize('value', [-0.01, 1.01, np.nan])
def test_probability_outside_its_range_is_refused(kind, value):
  probability = np.array([0.5, value, 0.5], np.float32)
  arrays = np.zeros(3, np.float32), np.ones(3, bool), np.ones(3, bool)
  metric = kind.empty(4).update(*arrays, np.zeros(3, int), probability)
  with pytest.raises(ValueError, match='1 valid pixels have a probability'):
    metric.compute()
