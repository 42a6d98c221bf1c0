"""Intervals of a single run against plain bootstraps that keep every pixel."""

import jax
import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from fsnet_jax.metrics import bootstrap
from fsnet_jax.metrics.image_table import ImageTable
from fsnet_jax.metrics.paired_differences import (
  AGAINST_BEST,
  METRICS,
  difference_to_best_baseline,
  paired_differences,
)
from fsnet_jax.metrics.per_image import (
  ImageHistograms,
  image_counts,
  ranges_for,
)
from fsnet_jax.metrics.ranking import ExactFailure, ranking_metrics
from fsnet_jax.metrics.resampling_units import units_of
from tests.fsnet_jax.metrics.failure_references import coverage_at_risk

COUNTS = jax.jit(image_counts)
IMAGES, SIZE = 14, (8, 8)
GAINS = {'fsnet': 1.4, 'msp': 1.0, 'entropy': 0.9}


class Case:
  """Scores of three detectors on images of very different error rates."""

  def __init__(self, seed=0, images=IMAGES):
    rng = np.random.default_rng(seed)
    shape = (images, *SIZE)
    rates = rng.uniform(0.05, 0.5, (images, 1, 1))
    self.wrong = rng.random(shape) < rates
    self.valid = rng.random(shape) < 0.9
    hard = rng.normal(0, 0.5, (images, 1, 1))
    self.scores = {
      name: rng.normal(gain * self.wrong + hard, 1).astype(np.float32)
      for name, gain in GAINS.items()
    }

  def tables(self):
    found = {}
    for name, score in self.scores.items():
      histograms = ImageHistograms()
      histograms.add(
        COUNTS(score, self.wrong, self.valid), np.arange(len(score))
      )
      found[name] = histograms.table()
    return found

  def pooled(self):
    group = np.zeros(self.wrong.shape, np.uint8)
    return {
      name: ExactFailure.empty(1)
      .update(score, self.wrong, self.valid, group)
      .compute()['pooled']
      for name, score in self.scores.items()
    }

  def measured(self, name, images, metric):
    """A metric by scikit-learn on the pixels of a choice of images."""
    images = np.asarray(images, np.int64)
    keep = self.valid[images]
    wrong = self.wrong[images][keep]
    score = self.scores[name][images][keep]
    if metric == 'auroc':
      return roc_auc_score(wrong, score)
    if metric == 'ap_error':
      return average_precision_score(wrong, score)
    if metric == 'coverage_at_5_risk':
      return coverage_at_risk(score, wrong, 0.05)
    false_rate, true_rate, _ = roc_curve(wrong, score, drop_intermediate=False)
    return false_rate[np.argmax(true_rate >= 0.95)]


@pytest.fixture(scope='module')
def case():
  return Case()


@pytest.mark.parametrize(
  'metric', ['auroc', 'ap_error', 'fpr95_error', 'coverage_at_5_risk']
)
def test_the_interval_is_that_of_a_plain_loop(case, metric):
  found = paired_differences(
    case.tables(), case.pooled(), np.zeros(IMAGES), resamples=60
  )
  # The same draws, every pixel of every drawn image, no ranges of score.
  gaps = []
  for weights in bootstrap.draws(IMAGES, 60):
    drawn = np.repeat(np.arange(IMAGES), weights)
    mine, other = (case.measured(n, drawn, metric) for n in ('fsnet', 'msp'))
    gaps.append(mine - other)
  everything = np.arange(IMAGES)
  entry = found['fsnet']['difference_to_msp'][metric]
  exact = case.measured('fsnet', everything, metric) - case.measured(
    'msp', everything, metric
  )
  assert entry['difference'] == pytest.approx(exact, abs=1e-12)
  coarse = ('fpr95_error', 'coverage_at_5_risk')
  tolerance = 5e-3 if metric in coarse else 1e-3
  low, high = np.percentile(gaps, (2.5, 97.5))
  assert entry['low'] == pytest.approx(low, abs=tolerance)
  assert entry['high'] == pytest.approx(high, abs=tolerance)
  assert (entry['unit'], entry['units'], entry['resamples']) == (
    'image', IMAGES, 60,
  )  # fmt: skip
  # And the other way round.
  back = found['msp']['difference_to_fsnet'][metric]
  assert back['difference'] == -entry['difference']
  assert back['low'] == pytest.approx(-entry['high'], abs=1e-12)
  assert back['high'] == pytest.approx(-entry['low'], abs=1e-12)


def test_the_interval_is_that_of_scipy(case):
  def gap(images):
    return case.measured('fsnet', images, 'auroc') - case.measured(
      'entropy', images, 'auroc'
    )

  theirs = scipy.stats.bootstrap(
    (np.arange(IMAGES),),
    gap,
    n_resamples=250,
    vectorized=False,
    method='percentile',
    rng=np.random.default_rng(1),
  ).confidence_interval
  ours = paired_differences(case.tables(), case.pooled(), np.zeros(IMAGES))
  ours = ours['entropy']['difference_to_fsnet']['auroc']
  # Other draws: ends agree to a fraction of the width.
  width = theirs.high - theirs.low
  assert ours['low'] == pytest.approx(-theirs.high, abs=0.2 * width)
  assert ours['high'] == pytest.approx(-theirs.low, abs=0.2 * width)


def test_sequences_are_drawn_where_there_are_enough():
  case = Case(seed=4, images=36)
  sequence = np.arange(36) // 3 * 7  # 12 drives of three frames
  assert units_of(sequence).name == 'sequence'
  found = paired_differences(case.tables(), case.pooled(), sequence, 50)
  gaps = []
  for weights in bootstrap.draws(12, 50):
    drives = np.repeat(np.arange(12), weights)
    drawn = (drives[:, None] * 3 + np.arange(3)).ravel()
    gaps.append(
      case.measured('fsnet', drawn, 'auroc')
      - case.measured('msp', drawn, 'auroc')
    )
  entry = found['fsnet']['difference_to_msp']['auroc']
  assert (entry['unit'], entry['units']) == ('sequence', 12)
  low, high = np.percentile(gaps, (2.5, 97.5))
  assert entry['low'] == pytest.approx(low, abs=1e-3)
  assert entry['high'] == pytest.approx(high, abs=1e-3)


@pytest.mark.parametrize(
  ('sequence', 'name', 'count'),
  [
    (np.arange(40) // 4, 'sequence', 10),
    (np.arange(40) // 5, 'image', 40),  # 8 are too few
    (np.arange(40), 'image', 40),  # each image by itself
    (np.zeros(40), 'image', 40),  # none is named
    (np.zeros(0), 'image', 0),
    ([5, 5, 2, 9], 'image', 4),
  ],
)
def test_units(sequence, name, count):
  units = units_of(np.asarray(sequence))
  assert (units.name, units.count) == (name, count)
  if count:
    assert sorted(set(units.of_image)) == list(range(count))


def test_what_has_no_difference_is_none(case):
  tables, pooled = case.tables(), case.pooled()
  nothing = np.zeros(IMAGES)
  found = paired_differences(tables, pooled, nothing, 40)
  assert found['msp']['difference_to_msp'] is None
  assert found['fsnet']['difference_to_fsnet'] is None
  assert set(found['entropy']['difference_to_msp']) == set(METRICS)
  # Without MSP.
  rest = {name: tables[name] for name in ('fsnet', 'entropy')}
  found = paired_differences(rest, pooled, nothing, 40)
  assert found['entropy']['difference_to_msp'] is None
  assert found['entropy']['difference_to_fsnet']['auroc'] is not None
  # One detector, or two that are no reference.
  for names in (['msp'], ['entropy'], []):
    found = paired_differences({n: tables[n] for n in names}, pooled, nothing)
    assert all(set(one.values()) == {None} for one in found.values())


@pytest.mark.parametrize('images', [1, 2, 9])
def test_few_images_have_no_interval(images):
  case = Case(images=images)
  found = paired_differences(case.tables(), case.pooled(), np.zeros(images))
  differences = found['fsnet']['difference_to_msp']
  assert differences == dict.fromkeys(METRICS)


def test_without_errors_there_is_no_interval():
  case = Case()
  case.wrong[:] = False
  found = paired_differences(case.tables(), case.pooled(), np.zeros(IMAGES))
  assert found['fsnet']['difference_to_msp'] == dict.fromkeys(METRICS)
  # Errors in one image: it is in two draws of three.
  case = Case()
  case.wrong[1:] = False
  found = paired_differences(case.tables(), case.pooled(), np.zeros(IMAGES))
  entry = found['fsnet']['difference_to_msp']['auroc']
  assert entry['low'] <= entry['difference'] <= entry['high']


def test_equal_detectors_are_level(case):
  tables, pooled = case.tables(), case.pooled()
  twice = {'fsnet': tables['msp'], 'msp': tables['msp']}
  same = {'fsnet': pooled['msp'], 'msp': pooled['msp']}
  found = paired_differences(twice, same, np.zeros(IMAGES))
  for entry in found['fsnet']['difference_to_msp'].values():
    assert entry['low'] == entry['high'] == entry['difference'] == 0


@pytest.mark.slow
def test_the_interval_covers_the_truth_as_often_as_it_says():
  # Of two equally good detectors the difference is 0 in the long run.
  covered, levels, images = 0, 8, 20
  for seed in range(100):
    rng = np.random.default_rng(seed)
    rates = rng.uniform(0.05, 0.5, images)
    tables = {}
    for name in ('fsnet', 'msp'):
      # Right pixels prefer low levels, wrong ones high ones, image by image.
      shift = rng.normal(1, 0.3, (images, 1))
      prefer = np.exp(shift * np.linspace(0, 2, levels))
      prefer /= prefer.sum(axis=1, keepdims=True)
      counts = [
        [
          rng.multinomial(round(200 * (1 - rate)), one[::-1]),
          rng.multinomial(round(200 * rate), one),
        ]
        for rate, one in zip(rates, prefer)
      ]
      tables[name] = ImageTable(np.array(counts), np.ones(levels, bool))
    pooled = {n: ranking_metrics(t.ranking()) for n, t in tables.items()}
    found = paired_differences(tables, pooled, np.zeros(images), resamples=100)
    entry = found['fsnet']['difference_to_msp']['auroc']
    covered += entry['low'] <= 0 <= entry['high']
  # 95 of 100; percentile intervals of 20 images are a little short.
  assert 88 <= covered < 100


def against_best(tables, pooled, baselines, images=IMAGES):
  found = paired_differences(tables, pooled, np.zeros(images), 40)
  return found, difference_to_best_baseline(pooled, found, baselines)


def test_the_best_baseline_is_each_metrics_own(case):
  tables, pooled = case.tables(), case.pooled()
  # MSP leads by three of four, as higher or lower is better.
  changed = {
    'auroc': (0.8, 0.7),
    'fpr95_error': (0.4, 0.3),
    'ap_error': (0.6, 0.5),
    'coverage_at_5_risk': (0.3, 0.2),
  }
  for metric, values in changed.items():
    pooled['msp'][metric], pooled['entropy'][metric] = values
  found, best = against_best(tables, pooled, ['entropy', 'msp'])
  assert {name: one['baseline'] for name, one in best.items()} == {
    'auroc': 'msp',
    'fpr95_error': 'entropy',
    'ap_error': 'msp',
    'coverage_at_5_risk': 'msp',
  }
  assert set(best) == set(AGAINST_BEST)
  for metric, entry in best.items():
    theirs = found[entry['baseline']]['difference_to_fsnet'][metric]
    assert entry['difference'] == pytest.approx(
      pooled['fsnet'][metric] - pooled[entry['baseline']][metric]
    )
    assert (entry['low'], entry['high']) == (-theirs['high'], -theirs['low'])
    assert entry['low'] <= entry['high']
    assert entry['units'] == IMAGES and entry['unit'] == 'image'
  # The difference to MSP is the same number from the other side.
  to_msp = found['fsnet']['difference_to_msp']['auroc']
  for end in ('difference', 'low', 'high'):
    assert best['auroc'][end] == pytest.approx(to_msp[end], abs=1e-12)


def test_only_baselines_compete(case):
  tables, pooled = case.tables(), case.pooled()
  pooled['entropy'] |= {'auroc': 0.999, 'fpr95_error': 0.0}
  _, best = against_best(tables, pooled, ['msp'])
  assert {one['baseline'] for one in best.values()} == {'msp'}


def test_of_equal_baselines_the_first_is_named(case):
  tables, pooled = case.tables(), case.pooled()
  tables['entropy'], pooled['entropy'] = tables['msp'], pooled['msp']
  for order in (['msp', 'entropy'], ['entropy', 'msp']):
    _, best = against_best(tables, pooled, order)
    assert {one['baseline'] for one in best.values()} == {order[0]}


def test_where_there_is_no_best_baseline(case):
  tables, pooled = case.tables(), case.pooled()
  assert against_best(tables, pooled, [])[1] is None
  rest = {name: tables[name] for name in ('msp', 'entropy')}
  measured = {name: pooled[name] for name in rest}
  assert against_best(rest, measured, ['msp', 'entropy'])[1] is None
  # A metric that one baseline lacks, or all of them.
  pooled['msp']['auroc'] = None
  pooled['msp']['ap_error'] = pooled['entropy']['ap_error'] = None
  _, best = against_best(tables, pooled, ['msp', 'entropy'])
  assert best['auroc']['baseline'] == 'entropy'
  assert best['ap_error'] is None


@pytest.mark.parametrize('kind', ['no error', 'all wrong', 'void', 'few'])
def test_without_intervals_the_best_baseline_is_unknown(kind):
  case = Case(images=3 if kind == 'few' else IMAGES)
  if kind in ('no error', 'all wrong'):
    case.wrong[:] = kind == 'all wrong'
  elif kind == 'void':
    case.valid[:] = False
  images = len(case.wrong)
  _, best = against_best(case.tables(), case.pooled(), ['msp'], images)
  assert best == dict.fromkeys(AGAINST_BEST)


def test_memory_is_bounded():
  assert ranges_for(48, 3) == 1024
  assert ranges_for(2000, 14) == 1024
  for images, detectors in ((10_000, 14), (40_000, 3)):
    ranges = ranges_for(images, detectors)
    assert 128 <= ranges < 1024
    assert images * detectors * ranges * 8 <= 1 << 28
  assert ranges_for(10**7, 14) == 128
