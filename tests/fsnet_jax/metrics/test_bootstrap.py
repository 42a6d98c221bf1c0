"""The bootstrap over images against one that repeats every pixel."""

import jax
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.per_image import (
  ImageHistograms,
  image_counts,
)
from fsnet_jax.metrics.ranking import ExactFailure
from fsnet_jax.metrics.resampling_units import LEAST_IMAGES

COUNTS = jax.jit(image_counts)


def pixels(seed, images=12, size=(16, 32)):
  """Scores of two detectors that share what makes an image hard."""
  rng = np.random.default_rng(seed)
  wrong = rng.random((images, *size)) < rng.uniform(0.02, 0.4, (images, 1, 1))
  valid = rng.random(wrong.shape) < 0.9
  shift = rng.normal(0, 0.5, (images, 1, 1))
  scores = [
    (rng.normal(gain * wrong + shift, 1)).astype(np.float32)
    for gain in (1.5, 1.0)
  ]
  return scores, wrong, valid


def collect(score, wrong, valid, ranges=1024, batch=4):
  histograms = ImageHistograms(ranges)
  for start in range(0, len(score), batch):
    part = slice(start, start + batch)
    index = np.arange(start, start + batch)
    histograms.add(COUNTS(score[part], wrong[part], valid[part]), index)
  return histograms.table()


def brute_force(score, wrong, valid, weights):
  """scikit-learn on every pixel of every drawn image."""
  drawn = np.repeat(np.arange(len(score)), weights)
  keep = valid[drawn]
  s, w = score[drawn][keep], wrong[drawn][keep]
  false_rate, true_rate, _ = roc_curve(w, s, drop_intermediate=False)
  return {
    'ap_error': average_precision_score(w, s),
    'ap_success': average_precision_score(~w, -s),
    'auroc': roc_auc_score(w, s),
    'fpr95_error': false_rate[np.argmax(true_rate >= 0.95)],
  }


@pytest.fixture(scope='module')
def case():
  scores, wrong, valid = pixels(0)
  tables = [collect(score, wrong, valid) for score in scores]
  return scores, wrong, valid, tables, bootstrap.draws(12, 60, seed=3)


def test_draws_are_of_all_images_and_repeat():
  weights = bootstrap.draws(7, 50, seed=1)
  assert (weights.sum(axis=1) == 7).all() and weights.shape == (50, 7)
  assert np.array_equal(weights, bootstrap.draws(7, 50, seed=1))
  assert not np.array_equal(weights, bootstrap.draws(7, 50, seed=2))


def test_each_draw_is_that_of_scikit_learn(case):
  scores, wrong, valid, tables, weights = case
  found = bootstrap.resampled(tables[0], weights)
  for place in range(0, 60, 6):
    expected = brute_force(scores[0], wrong, valid, weights[place])
    for metric, value in expected.items():
      # 1024 ranges for 5500 pixels: 5 pixels a range.
      tolerance = 4e-3 if metric == 'fpr95_error' else 1.5e-3
      assert found[metric][place] == pytest.approx(value, abs=tolerance), metric


def test_the_interval_is_that_of_scikit_learn(case):
  scores, wrong, valid, tables, weights = case
  brute = [
    [brute_force(score, wrong, valid, row) for row in weights]
    for score in scores
  ]
  found = [bootstrap.resampled(table, weights) for table in tables]
  for metric in ('ap_error', 'auroc'):
    gaps = [a[metric] - b[metric] for a, b in zip(*brute)]
    interval = bootstrap.paired_interval(
      0.5, found[0][metric][None], found[1][metric][None], 12
    )
    assert interval.difference == 0.5
    assert interval.low == pytest.approx(np.percentile(gaps, 2.5), abs=1e-3)
    assert interval.high == pytest.approx(np.percentile(gaps, 97.5), abs=1e-3)
    assert interval.low > 0  # 1.5 is better than 1 beyond chance


def test_too_few_images_have_no_interval(case):
  found = [bootstrap.resampled(table, case[4])['auroc'] for table in case[3]]
  # One image is drawn every time: an interval without width, and no certainty.
  same = [np.full((1, 40), value) for value in (0.9, 0.8)]
  assert bootstrap.paired_interval(0.1, *same, 1) is None
  gaps = [one[None] for one in found]
  least = LEAST_IMAGES
  assert bootstrap.paired_interval(0.1, *gaps, least - 1) is None
  assert bootstrap.paired_interval(0.1, *gaps, least) is not None


def test_few_scores_are_exact_ties():
  scores, wrong, valid = pixels(1)
  score = np.round(scores[0] * 2) / 2
  table = collect(score, wrong, valid)
  assert table.tied[table.counts.any(axis=(0, 1))].all()
  weights = bootstrap.draws(12, 5)
  found = bootstrap.resampled(table, weights)
  for place, row in enumerate(weights):
    for metric, value in brute_force(score, wrong, valid, row).items():
      assert found[metric][place] == pytest.approx(value, abs=1e-12), metric


def test_ranges_chosen_from_the_first_images_serve_the_rest():
  scores, wrong, valid = pixels(2, images=40, size=(4, 8))
  # Images after the survey are unlike those in it.
  score = scores[0] + np.where(np.arange(40) < 34, 0, 5)[:, None, None].astype(
    np.float32
  )
  table = collect(score, wrong, valid, ranges=256)
  assert table.counts.shape[0] == 40 and table.counts.shape[2] < 1100
  exact = ExactFailure.empty(1).update(
    score, wrong, valid, np.zeros(score.shape, np.uint8)
  )
  errors = bootstrap.resolution_error(table, exact.compute()['pooled'])
  assert set(errors) == set(bootstrap.METRICS)
  assert all(error < 0.02 for error in errors.values())
  counted = table.counts.sum(axis=(0, 2))
  assert list(counted) == [(~wrong & valid).sum(), (wrong & valid).sum()]


def test_padding_and_images_without_errors():
  scores, wrong, valid = pixels(3, images=4, size=(4, 8))
  wrong[:] = False
  histograms = ImageHistograms()
  counts = COUNTS(scores[0], wrong, valid)
  histograms.add(counts, np.array([1, 0, -1, -1]))
  table = histograms.table()
  assert len(table.counts) == 2
  assert table.counts[0].sum() == valid[1].sum()
  nothing = bootstrap.resampled(table, bootstrap.draws(2, 4))
  assert np.isnan(nothing['auroc']).all()
  nothing = nothing['auroc'][None]
  assert bootstrap.paired_interval(0.0, nothing, nothing, 12) is None
  with pytest.raises(ValueError, match='no image'):
    ImageHistograms().table()
