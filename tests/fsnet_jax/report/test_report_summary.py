import itertools

import numpy as np
import pytest

from fsnet_jax.report import summary
from tests.fsnet_jax.report.report_data import (
  interval,
  make_best_baseline,
  make_dataset,
  make_detector,
)


def _dataset(error_rate=0.1, half_width=0.001, **detectors):
  """A data set of detectors given as (auroc, fpr95)."""
  return make_dataset(
    {
      name: make_detector(auroc, fpr95, error_rate)
      for name, (auroc, fpr95) in detectors.items()
    },
    error_rate,
    half_width,
  )


def _words(error_rate=0.1, half_width=0.001, **detectors):
  """Summary for detectors given as (auroc, fpr95)."""
  return summary.summarize(_dataset(error_rate, half_width, **detectors))


@pytest.mark.parametrize(
  ('detectors', 'verdict', 'headline'),
  [
    (
      {'fsnet': (0.91, 0.30), 'msp': (0.88, 0.34), 'entropy': (0.89, 0.35)},
      'ahead',
      'FSNet is ahead of MSP and Entropy on AUROC and FPR95.',
    ),
    (
      {'fsnet': (0.80, 0.50), 'msp': (0.88, 0.34)},
      'behind',
      'FSNet is behind MSP on AUROC and FPR95.',
    ),
    (
      {'fsnet': (0.88, 0.34), 'msp': (0.88, 0.34)},
      'level',
      'FSNet is level with MSP on AUROC and FPR95.',
    ),
    # The intervals are 0.1 points to both sides.
    (
      {'fsnet': (0.8804, 0.34), 'msp': (0.8796, 0.3409)},
      'level',
      'FSNet is level with MSP on AUROC and FPR95.',
    ),
    (
      {'fsnet': (0.90, 0.40), 'msp': (0.88, 0.34)},
      'mixed',
      'FSNet is ahead of MSP on AUROC; behind MSP on FPR95.',
    ),
    (
      {'fsnet': (0.90, 0.40), 'msp': (0.88, 0.50), 'tcp': (0.95, 0.2)},
      'mixed',
      'FSNet is ahead of MSP and behind TCP on AUROC and FPR95.',
    ),
    (
      {'fsnet': (0.90, 0.34), 'msp': (0.88, 0.34)},
      'mixed',
      'FSNet is ahead of MSP on AUROC; level with MSP on FPR95.',
    ),
    (
      {'fsnet': (0.90, None), 'msp': (0.88, None)},
      'ahead',
      'FSNet is ahead of MSP on AUROC.',
    ),
    (
      {'fsnet': (0.90, 0.3), 'msp': (None, None)},
      'open',
      'There is nothing to compare FSNet with.',
    ),
    (
      {'fsnet': (0.90, 0.3)},
      'open',
      'There is nothing to compare FSNet with.',
    ),
    (
      {'msp': (0.90, 0.3), 'entropy': (0.8, 0.4)},
      'open',
      'FSNet is not among the detectors of this run.',
    ),
  ],
)
def test_headline(detectors, verdict, headline):
  words = _words(**detectors)
  assert (words.verdict, words.headline) == (verdict, headline)


def test_no_win_is_claimed_that_is_not_there():
  levels = [0.5, 0.6, 0.7]
  for mine, other in itertools.product(
    itertools.product(levels, levels), repeat=2
  ):
    words = _words(fsnet=mine, msp=other)
    better = (mine[0] > other[0]) + (mine[1] < other[1])
    worse = (mine[0] < other[0]) + (mine[1] > other[1])
    assert (words.verdict == 'ahead') == (better == 2)
    assert (words.verdict == 'behind') == (worse == 2)
    assert (words.verdict == 'level') == (better == worse == 0)
    assert ('ahead of MSP' in words.headline) == (better > 0)
    assert ('behind MSP' in words.headline) == (worse > 0)


@pytest.mark.parametrize(
  ('half_width', 'verdict', 'headline'),
  [
    (0.009, 'ahead', 'FSNet is ahead of MSP on AUROC and FPR95.'),
    # AUROC differs by 0.01, FPR95 by 0.02.
    (
      0.015,
      'mixed',
      'FSNet is level with MSP on AUROC; ahead of MSP on FPR95.',
    ),
    (0.03, 'level', 'FSNet is level with MSP on AUROC and FPR95.'),
  ],
)
def test_the_words_follow_from_the_intervals(half_width, verdict, headline):
  words = _words(half_width=half_width, fsnet=(0.9, 0.3), msp=(0.89, 0.32))
  assert (words.verdict, words.headline) == (verdict, headline)
  assert 'AUROC 90.0 (MSP 89.0)' in words.text


def test_an_interval_that_ends_at_0_holds_it():
  dataset = _dataset(fsnet=(0.9, 0.3), msp=(0.89, 0.3))
  pair = dataset['failure']['msp']['difference_to_fsnet']
  pair['auroc'] = interval(-0.01, 0.01) | {'high': 0.0}
  assert summary.summarize(dataset).verdict == 'level'


@pytest.mark.parametrize(
  ('images', 'words'),
  [
    (1, '1 image cannot tell a difference from chance: that takes 10 or more.'),
    (9, '9 images cannot tell a difference from chance: that takes 10 or'),
    (48, 'Too few of the images have errors to tell a difference from chance.'),
  ],
)
def test_without_intervals_nothing_is_claimed(images, words):
  dataset = _dataset(fsnet=(0.99, 0.1), msp=(0.6, 0.9))
  dataset['images'] = images
  for detector in dataset['failure'].values():
    detector['difference_to_msp'] = detector['difference_to_fsnet'] = None
  found = summary.summarize(dataset)
  assert found.verdict == 'open' and found.headline.startswith(words)
  assert found.text.startswith('FSNet: AUROC 99.0 (MSP 60.0)')
  assert '[' not in found.text


def test_sequences_are_named_where_they_are_drawn():
  dataset = _dataset(fsnet=(0.9, 0.3), msp=(0.89, 0.3))
  for pair in dataset['failure']['fsnet']['difference_to_msp'].values():
    pair['unit'], pair['units'] = 'sequence', 12
  assert '(95% intervals over 12 sequences)' in summary.summarize(dataset).text
  assert summary.units_drawn(dataset) == '12 sequences'


def test_numbers_in_the_text():
  text = _words(fsnet=(0.912, 0.3), msp=(0.88, 0.345)).text
  assert text == (
    'FSNet: AUROC 91.2 (MSP 88.0), FPR95 30.0 (MSP 34.5). FSNet less MSP: AUROC'
    ' +3.20 [+3.10, +3.30], FPR95 -4.50 [-4.60, -4.40] (95% intervals over 48'
    ' images). The segmentation network labels 10.0% of the pixels wrongly.'
    ' Setting aside the 10% of the'
    # 1 - 0.9 * 0.9**2: risk(c) = e c**2 here.
    ' pixels that FSNet trusts least catches 27.1% of these errors (MSP 27.1%,'
    ' a blind choice 10%).'
  )


@pytest.mark.parametrize(
  ('error_rate', 'aside'),
  [(0.02, '10%'), (0.1, '10%'), (0.11, '20%'), (0.5, '50%'), (0.89, '90%')],
)
def test_a_perfect_detector_could_catch_all(error_rate, aside):
  text = _words(error_rate, fsnet=(0.9, 0.3)).text
  assert f'Setting aside the {aside} of the pixels' in text


def test_more_errors_than_can_be_set_aside():
  assert 'Setting aside' not in _words(0.95, fsnet=(0.9, 0.3)).text


def test_missing_risks_say_nothing():
  dataset = make_dataset({'fsnet': make_detector()})
  risks = dataset['failure']['fsnet']['risk_at_coverage']
  risks['0.9'] = None
  assert 'catches' not in summary.summarize(dataset).text


def test_degenerate_data_sets():
  perfect = _words(0.0, fsnet=(None, None), msp=(None, None))
  assert perfect.verdict == 'open'
  assert 'no error' in perfect.headline
  empty = make_dataset({'fsnet': make_detector()})
  empty['segmentation']['base_error_rate'] = None
  assert summary.summarize(empty).verdict == 'open'


def test_caught_share_counts_errors():
  rng = np.random.default_rng(0)
  wrong = rng.random(1000) < 0.2
  order = np.argsort(rng.normal(size=1000) + wrong)
  kept = wrong[order]
  risks = {
    f'{tenth / 10:.1f}': float(kept[: tenth * 100].mean())
    for tenth in range(1, 11)
  }
  for tenth in range(1, 11):
    expected = kept[tenth * 100 :].sum() / wrong.sum()
    share = summary.caught_share(risks, f'{tenth / 10:.1f}')
    assert share == pytest.approx(expected, abs=1e-12)


def test_caught_share_is_not_defined_without_errors():
  assert summary.caught_share({'0.9': 0.0, '1.0': 0.0}, '0.9') is None
  assert summary.caught_share({'0.9': None, '1.0': 0.1}, '0.9') is None
  assert summary.caught_share({'0.9': 0.1}, '0.9') is None


def test_many_rivals_are_counted_and_the_best_named():
  detectors = {f'd{i}': (0.5 + 0.01 * i, 0.9 - 0.01 * i) for i in range(6)}
  words = _words(fsnet=(0.545, 0.855), **detectors)
  assert words.headline == (
    'FSNet is ahead of 5 other detectors and behind d5 on AUROC and FPR95.'
  )
  assert words.text.startswith(
    'FSNet: AUROC 54.5 (d5 55.0, d4 54.0, d3 53.0), FPR95 85.5 (d5 85.0,'
    ' d4 86.0, d3 87.0).'
  )


def test_a_different_rival_ahead_makes_a_clause_of_its_own():
  words = _words(fsnet=(0.7, 0.5), msp=(0.8, 0.6), tcp=(0.6, 0.4))
  assert words.headline == (
    'FSNet is ahead of TCP and behind MSP on AUROC; ahead of MSP and behind'
    ' TCP on FPR95.'
  )


def test_certified_distance_is_the_farthest_end():
  msp, fsnet = make_detector(0.8), make_detector(0.9)
  assert summary.certified({'day': make_dataset({'msp': msp})}) == ''
  both = {'day': make_dataset({'msp': msp, 'fsnet': fsnet})}
  msp['pooled_bounds'] = {'auroc': (0.8, 0.8), 'aurc': None}
  assert 'exact' in summary.certified(both)
  fsnet['pooled_bounds'] = {'auroc': (0.8988, 0.9004), 'aurc': (0.02, 0.0205)}
  assert 'values shown: AUROC 0.120, AURC 0.500.' in summary.certified(both)


def _against_best(half_width=0.001, **baselines):
  """Words of a data set with differences to the best baselines."""
  detectors = {
    'fsnet': make_detector(0.9, 0.3, coverage_at_5_risk=0.7),
    'msp': make_detector(0.88, 0.28, coverage_at_5_risk=0.6),
    'entropy': make_detector(0.85, 0.34, coverage_at_5_risk=0.8),
  }
  dataset = make_dataset(detectors)
  make_best_baseline(detectors, half_width, **baselines)
  return summary.summarize(dataset)


def test_the_best_baseline_is_named_by_measure():
  words = _against_best(
    auroc='msp',
    fpr95_error='msp',
    ap_error='entropy',
    coverage_at_5_risk='entropy',
  )
  # A lower FPR95 and a higher coverage are better.
  assert words.headline.endswith(
    '. It is ahead of the best baseline (MSP) on AUROC; behind the best'
    ' baseline (MSP) on FPR95, (Entropy) on Cov@5%; level with the best'
    ' baseline (Entropy) on AP-Err.'
  )
  assert (
    'FSNet less the best baseline: AUROC +2.00 [+1.90, +2.10] (MSP), FPR95'
    ' +2.00 [+1.90, +2.10] (MSP), AP-Err +0.00 [-0.10, +0.10] (Entropy),'
    ' Cov@5% -10.00 [-10.10, -9.90] (Entropy).'
  ) in words.text


def test_one_best_baseline_is_one_clause():
  keys = ('auroc', 'ap_error', 'coverage_at_5_risk')
  words = _against_best(0.2, **dict.fromkeys(keys, 'msp'))
  assert words.headline.endswith(
    ' It is level with the best baseline (MSP) on AUROC, AP-Err and Cov@5%.'
  )


def test_without_the_best_baseline_nothing_is_said():
  assert 'baseline' not in ' '.join(_words(fsnet=(0.9, 0.3), msp=(0.8, 0.4)))
  dataset = _dataset(fsnet=(0.9, 0.3), msp=(0.8, 0.4))
  for nothing in (None, {'auroc': None}):
    dataset['failure']['fsnet']['difference_to_best_baseline'] = nothing
    assert 'baseline' not in summary.summarize(dataset).headline


def test_parts_of_fsnet_are_no_rivals():
  rivals = {'msp': (0.8, 0.4)}
  alone = _words(fsnet=(0.9, 0.3), **rivals)
  parts = {'fsnet_pixel': (0.95, 0.2), 'fsnet_joint': (0.7, 0.5)}
  found = _words(fsnet=(0.9, 0.3), **parts, **rivals)
  assert (found.verdict, found.headline) == (alone.verdict, alone.headline)
