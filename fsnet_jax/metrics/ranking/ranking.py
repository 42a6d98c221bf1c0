"""Ranking metrics of failure scores from counts of right and wrong pixels.

Everything here is numpy on the host, float64, and knows pixels only as
steps: how many right and wrong pixels there are at each score, or in each
narrow range of scores. Two kinds of step occur:

* A tied step is one score that its pixels share. No threshold separates
  them, so all metrics treat them as scikit-learn does: average precision
  takes them in one step, ROC-AUC counts a tied pair one half.
* An untied step is a range of different scores of which only the counts are
  known. Metrics take their expected value over all orders of its pixels.

With exact data, the untied steps are runs of pixels that are all right or all
wrong, where any order gives the same.
"""

import dataclasses
import functools
import math

import numpy as np

from fsnet_jax.metrics.ranking.fpr95 import fpr95

#: The metrics of `ranking_metrics` that compare right with wrong pixels.
METRICS = (
  'ap_error',
  'ap_success',
  'auroc',
  'fpr95_error',
  'fpr95_success',
  'aurc',
  'e_aurc',
  'augrc',
  'coverage_at_5_risk',
)

#: Kept fractions at which the risk is reported, as keys of `metrics.json`.
COVERAGES = tuple(f'{tenth / 10:.1f}' for tenth in range(1, 11))

#: Flagged fractions at which the caught errors are reported, likewise: what a
#: reviewer has time for.
BUDGETS = ('0.01', '0.05', '0.1')

#: Accepted risks at which the coverage is reported, likewise, and each in
#: percent: a whole number, so that exactly this risk is never missed by
#: rounding.
RISKS = {'0.01': 1, '0.05': 5, '0.1': 10}


@dataclasses.dataclass(frozen=True)
class Ranking:
  """Pixels in the order of a failure score, most suspicious first.

  Attributes:
    correct: int64 [s], rightly segmented pixels of each step.
    wrong: int64 [s], wrongly segmented pixels of each step.
    tied: bool [s], whether the pixels of a step all have the same score.
    exact: whether each untied step holds right or wrong pixels alone, all of
      different scores, so that no order is unknown.
  """

  correct: np.ndarray
  wrong: np.ndarray
  tied: np.ndarray
  exact: bool = False

  @functools.cached_property
  def pixels(self) -> int:
    """Number of pixels."""
    return int(self.total.sum())

  @functools.cached_property
  def errors(self) -> int:
    """Number of wrongly segmented pixels."""
    return int(self.wrong.sum())

  @property
  def rights(self) -> int:
    """Number of rightly segmented pixels."""
    return self.pixels - self.errors

  @functools.cached_property
  def total(self) -> np.ndarray:
    """All pixels of each step, int64 [s]."""
    return self.correct + self.wrong

  @functools.cached_property
  def wrong_before(self) -> np.ndarray:
    """Wrongly segmented pixels of the steps before each, int64 [s]."""
    return before(self.wrong)

  @functools.cached_property
  def total_before(self) -> np.ndarray:
    """All pixels of the steps before each, int64 [s]."""
    return before(self.total)

  @functools.cached_property
  def swapped(self) -> 'Ranking':
    """The same pixels, most trusted first, right and wrong exchanged."""
    return Ranking(
      self.wrong[::-1], self.correct[::-1], self.tied[::-1], self.exact
    )


def ranking_metrics(ranking: Ranking) -> dict[str, float | int | None]:
  """Computes every ranking metric.

  With e the error rate, n the number of pixels, and E(k) the wrong ones among
  the k most trusted, linear in k within a step, which is its expected value
  over the orders of pixels that share a score:

  * `ap_error`, `ap_success`: average precision, sum of (R_i - R_{i-1}) P_i
    over the thresholds, positive = wrong and positive = right.
  * `auroc`: chance that a wrong pixel is more suspicious than a right one,
    equal scores counted one half.
  * `fpr95_error`: positive = wrong; the false positive rate at the highest
    threshold with a true positive rate of at least 0.95. (SynthCP takes the
    threshold whose rate is closest to 0.95, per image, and averages over
    images.) `fpr95_success`: the same with positive = right (ConfidNet).
  * `aurc`: area under the risk-coverage curve, the integral over k from 0 to n
    of E(k) / k dk / n (Geifman & El-Yaniv 2017). The mean over k = 1..n of
    the risks differs by O(1/n); the integral is what makes the next one 0 for
    a perfect ranking at any n.
  * `e_aurc`: `aurc` - (e + (1 - e) ln(1 - e)), the excess over a perfect
    ranking (Geifman, Uziel & El-Yaniv 2019).
  * `augrc`: the integral of E(k) dk / n^2, the mean chance that a pixel is
    wrong and accepted (Traub et al. 2024); 0.5 e^2 for a perfect ranking.
  * `coverage_at_5_risk`: the largest k / n with E(k) <= 0.05 k.

  Args:
    ranking: the pixels.

  Returns:
    Those metrics, fractions in [0, 1], and `base_error_rate` (e), `pixels`,
    `errors`. Without a single wrong or without a single right pixel there is
    nothing to rank: all metrics are None. Without pixels so is e.
  """
  pixels, errors = ranking.pixels, ranking.errors
  values: dict[str, float | int | None] = dict.fromkeys(METRICS)
  values['base_error_rate'] = errors / pixels if pixels else None
  values['pixels'] = pixels
  values['errors'] = errors
  if not 0 < errors < pixels:
    return values
  swapped = ranking.swapped
  error_rate = errors / pixels
  aurc = risk_area(ranking)
  values['ap_error'] = _average_precision(ranking)
  values['ap_success'] = _average_precision(swapped)
  values['auroc'] = _auroc(ranking)
  values['fpr95_error'] = _fpr95(ranking)
  values['fpr95_success'] = _fpr95(swapped)
  values['aurc'] = aurc
  # No ranking beats the perfect one: below 0 is rounding.
  values['e_aurc'] = max(aurc - optimal_aurc(error_rate), 0.0)
  values['augrc'] = generalised_risk_area(ranking)
  values['coverage_at_5_risk'] = coverage_at_risk(ranking)['0.05']
  return values


def risk_at_coverage(ranking: Ranking) -> dict[str, float | None]:
  """Error rate among the most trusted pixels, at ten coverages.

  Args:
    ranking: the pixels.

  Returns:
    For each coverage c of '0.1' to '1.0' the risk E(cn) / (cn), with E as in
    `ranking_metrics`: the expected risk if pixels that share a score are kept
    in random order. The risk at '1.0' is the base error rate. None without
    pixels.
  """
  pixels = ranking.pixels
  if not pixels:
    return dict.fromkeys(COVERAGES)
  kept = np.arange(1, 11) * pixels / 10
  risks = _failures_among(ranking, kept) / kept
  return {name: float(risk) for name, risk in zip(COVERAGES, risks)}


def caught_at_budget(ranking: Ranking) -> dict[str, float | None]:
  """Share of all errors among the most suspicious pixels.

  Args:
    ranking: the pixels.

  Returns:
    For each budget b of '0.01', '0.05' and '0.1' the expected share of the
    errors among the b n most suspicious pixels, (E(n) - E((1-b) n)) / E(n)
    with E as in `ranking_metrics`, if pixels that share a score are flagged
    in random order; a blind choice catches b. None without errors.
  """
  if not ranking.errors:
    return dict.fromkeys(BUDGETS)
  kept = (1 - np.array(BUDGETS, np.float64)) * ranking.pixels
  caught = 1 - _failures_among(ranking, kept) / ranking.errors
  return {
    budget: float(share)
    for budget, share in zip(BUDGETS, np.clip(caught, 0.0, 1.0))
  }


def coverage_at_risk(ranking: Ranking) -> dict[str, float | None]:
  """Largest share of pixels, most trusted first, with at most a given risk.

  Args:
    ranking: the pixels.

  Returns:
    For each risk r of '0.01', '0.05' and '0.1' the largest k / n with
    E(k) <= r k, E as in `ranking_metrics`: the expected risk if pixels that
    share a score are kept in random order, as in `risk_at_coverage`. 1 where
    all pixels together are within the risk, 0 where the most trusted ones
    are beyond it already and no more of them bring it down. None without
    pixels.
  """
  if not ranking.pixels:
    return dict.fromkeys(RISKS)
  _, total, failures, _ = _trusted(ranking)
  return {
    name: float(coverage_within(failures, total, percent))
    for name, percent in RISKS.items()
  }


def coverage_within(
  failures: np.ndarray, total: np.ndarray, percent: int
) -> np.ndarray:
  """`coverage_at_risk` of one risk, of any number of rankings.

  Args:
    failures: whole numbers [..., s], wrong pixels of each step, most trusted
      first.
    total: all pixels of each step; at least one in all.
    percent: the accepted risk.

  Returns:
    float64 [...] in [0, 1].
  """
  # How far the errors are beyond the risk, times 100: in whole numbers.
  excess = 100 * failures - percent * total
  beyond = np.cumsum(excess, axis=-1)
  steps = beyond.shape[-1]
  within = beyond <= 0
  # The end of the last step within the risk; before the first one for none.
  last = np.where(
    within.any(axis=-1), steps - 1 - np.argmax(within[..., ::-1], axis=-1), -1
  )[..., None]

  def there(values: np.ndarray, step: np.ndarray) -> np.ndarray:
    known = (step >= 0) & (step < steps)
    found = np.take_along_axis(values, np.clip(step, 0, steps - 1), axis=-1)
    return np.where(known, found, 0)[..., 0]

  kept = there(np.cumsum(total, axis=-1), last)
  # The next step crosses the risk, evenly, so what room is left fills it.
  share = -there(beyond, last) / np.maximum(there(excess, last + 1), 1)
  kept = kept + share * there(total, last + 1)
  return np.asarray(kept / total.sum(axis=-1))


def harmonic_difference(start: np.ndarray, count: np.ndarray) -> np.ndarray:
  """Sums 1/k over k = start + 1 .. start + count.

  Args:
    start: int64 [s], at least 0.
    count: int64 [s], at least 0.

  Returns:
    float64 [s], to a relative error of about 1e-14: summed up to 64, by the
    asymptotic series of the harmonic numbers above.
  """
  # With the asymptotic series of the harmonic numbers about n + 1/2.
  low = np.maximum(start, _SUMMED) + 0.5
  high = np.maximum(start + count, _SUMMED) + 0.5
  below, above = 1 / (low * low), 1 / (high * high)
  total = np.log1p((high - low) / low)
  total += _series(above) - _series(below)
  head = np.flatnonzero(start < _SUMMED)
  stop = np.minimum(start[head] + count[head], _SUMMED)
  total[head] += _HARMONIC[stop] - _HARMONIC[start[head]]
  return total


# Harmonic numbers up to 64, from where on the series is good.
_SUMMED = 64
_HARMONIC = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, _SUMMED + 1))])


def _series(x: np.ndarray) -> np.ndarray:
  """Harmonic number n less ln(n + 1/2) and Euler's constant.

  Args:
    x: 1 / (n + 1/2)^2, for n from 64 on; then it is good to 1e-17.
  """
  return x * (1 / 24 - x * (7 / 960 - x * (31 / 8064)))


def before(counts: np.ndarray) -> np.ndarray:
  """How many pixels lie in the steps before each step."""
  return np.cumsum(counts) - counts


def _failures_among(ranking: Ranking, kept: np.ndarray) -> np.ndarray:
  """E of `ranking_metrics` at some numbers of most trusted pixels."""
  trusted = ranking.swapped
  ends = np.append(trusted.total_before, ranking.pixels)
  failures = ranking.errors - np.append(
    ranking.errors, ranking.wrong_before[::-1]
  )
  return np.interp(kept, ends, failures)


def _average_precision(ranking: Ranking) -> float:
  """Average precision with the wrong pixels as positives."""
  wrong, wrong_before = ranking.wrong, ranking.wrong_before
  total, total_before = ranking.total, ranking.total_before
  gain = wrong * ((wrong_before + wrong) / np.maximum(total_before + total, 1))
  mixed = np.flatnonzero(~ranking.tied & (wrong > 0) & (total > 1))
  w, m = wrong[mixed].astype(np.float64), total[mixed].astype(np.float64)
  # In random order, place k of the step holds a wrong pixel with chance w/m,
  # and then (k - 1) (w - 1) / (m - 1) wrong ones are expected before it.
  slope = (w - 1) / (m - 1)
  rest = wrong_before[mixed] + 1 - slope * (total_before[mixed] + 1)
  harmonic = harmonic_difference(total_before[mixed], total[mixed])
  gain[mixed] = w / m * (slope * m + rest * harmonic)
  return float(gain.sum() / ranking.errors)


def _auroc(ranking: Ranking) -> float:
  """Chance that a wrong pixel precedes a right one, ties one half."""
  # In float64, since such products need more than 64 bits.
  preceding = ranking.wrong_before + ranking.wrong / 2
  pairs = preceding @ ranking.correct.astype(np.float64)
  return float(pairs / ranking.errors / ranking.rights)


def _fpr95(ranking: Ranking) -> float:
  return float(fpr95(ranking.wrong, ranking.correct, ranking.tied))


def optimal_aurc(error_rate: float) -> float:
  """AURC of a perfect ranking, e + (1 - e) ln(1 - e), for e below 1."""
  return error_rate + (1 - error_rate) * math.log1p(-error_rate)


def risk_area(ranking: Ranking) -> float:
  """Integral of E(k) / k dk / n, with E as in `ranking_metrics`.

  Args:
    ranking: at least one pixel.

  Returns:
    The area under the risk-coverage curve.
  """
  start, total, failures, done = _trusted(ranking)
  # A first step from k = 0 contributes its failures; avoid its logarithm.
  growth = np.log1p(total / np.maximum(start, 1)) * (start > 0)
  slope = failures / np.maximum(total, 1)
  area = failures + (done - slope * start) * growth
  return float(area.sum() / ranking.pixels)


def generalised_risk_area(ranking: Ranking) -> float:
  """Integral of E(k) dk / n^2, with E as in `ranking_metrics`.

  Args:
    ranking: at least one pixel.

  Returns:
    The area under the generalised risk curve.
  """
  _, total, failures, done = _trusted(ranking)
  area = (done + failures / 2) @ total.astype(np.float64)
  return float(area / float(ranking.pixels) ** 2)


def _trusted(ranking: Ranking) -> tuple[np.ndarray, ...]:
  """The steps from the most trusted on, int64 [s] each.

  Returns:
    All pixels before each step and in it, wrong pixels in it and before it.
  """
  steps = ranking.swapped
  done = steps.total_before - steps.wrong_before
  return steps.total_before, steps.total, steps.correct, done
