"""How far a ranking metric can be from its value on the unbinned scores.

A histogram does not know the order within an untied step. Between the two
extreme orders, all wrong pixels first and all right pixels first, lies every
possible one, so the metrics of the extremes enclose the exact ones. Ties
within a step are covered too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from fsnet_jax.metrics.ranking import ranking as rank
from fsnet_jax.metrics.ranking.fpr95 import threshold
from fsnet_jax.metrics.ranking.ranking import Ranking

Interval = tuple[float, float]


def metric_bounds(
  ranking: Ranking, values: Mapping[str, Any] | None = None
) -> dict[str, Interval | None]:
  """Encloses the ranking metrics of the exact scores.

  Args:
    ranking: the pixels, as far as their order is known.
    values: `ranking_metrics(ranking)` where that is known already.

  Returns:
    For each of `ranking.METRICS` the smallest and largest value that it can
    have (to rounding), or None where it is not defined. For an exact ranking
    both are the value itself.
  """
  if not 0 < ranking.errors < ranking.pixels:
    return dict.fromkeys(rank.METRICS)
  if ranking.exact:
    values = values or rank.ranking_metrics(ranking)
    return {name: _itself(values[name]) for name in rank.METRICS}
  swapped = ranking.swapped
  auroc = _auroc_bounds(ranking)
  aurc = _aurc_bounds(ranking)
  error_rate = ranking.errors / ranking.pixels
  optimal = rank.optimal_aurc(error_rate)
  # AUGRC falls linearly in AUROC: pairs in the wrong order are what it counts.
  spread = error_rate * (1 - error_rate)
  augrc = [(1 - area) * spread + error_rate**2 / 2 for area in auroc]
  return {
    'ap_error': _ap_bounds(ranking),
    'ap_success': _ap_bounds(swapped),
    'auroc': auroc,
    'fpr95_error': _fpr95_bounds(ranking),
    'fpr95_success': _fpr95_bounds(swapped),
    'aurc': aurc,
    'e_aurc': (max(aurc[0] - optimal, 0.0), max(aurc[1] - optimal, 0.0)),
    'augrc': (augrc[1], augrc[0]),
    'coverage_at_5_risk': _coverage_bounds(ranking),
  }


def _itself(value: float | int | None) -> Interval | None:
  return None if value is None else (value, value)


def _ap_bounds(ranking: Ranking) -> Interval:
  """Average precision with the wrong pixels as positives."""
  wrong, correct = ranking.wrong, ranking.correct
  wrong_before, total_before = ranking.wrong_before, ranking.total_before
  found = wrong_before + wrong
  tied = wrong * (found / np.maximum(total_before + ranking.total, 1))
  # Best: the wrong pixels first, and tied, since each then gets the precision
  # at the last of them.
  best = wrong * (found / np.maximum(total_before + wrong, 1))
  # Worst: the right pixels first, then one wrong pixel after the other.
  start = total_before + correct
  worst = wrong + (wrong_before - start) * rank.harmonic_difference(
    start, wrong
  )
  errors = ranking.errors
  low = np.where(ranking.tied, tied, worst).sum() / errors
  high = np.where(ranking.tied, tied, best).sum() / errors
  return float(low), float(min(high, 1.0))


def _auroc_bounds(ranking: Ranking) -> Interval:
  """Pairs within an untied step may be all in or all out of order."""
  wrong = ranking.wrong.astype(np.float64)
  correct = ranking.correct.astype(np.float64)
  ordered = ranking.wrong_before @ correct
  within = wrong * correct
  surely = within @ ranking.tied / 2
  pairs = float(ranking.errors) * ranking.rights
  low = (ordered + surely) / pairs
  high = (ordered + surely + within @ ~ranking.tied) / pairs
  return float(low), float(high)


def _fpr95_bounds(ranking: Ranking) -> Interval:
  """The threshold may come before or after the right pixels of its step."""
  step = int(threshold(np.cumsum(ranking.wrong))[0])
  correct = ranking.rights
  first = float(ranking.correct[:step].sum())
  last = first + float(ranking.correct[step])
  low = last if ranking.tied[step] else first
  return low / correct, last / correct


def _aurc_bounds(ranking: Ranking) -> Interval:
  """E(k) is lowest with the right pixels of each step trusted most."""
  return (
    rank.risk_area(_split(ranking, wrong_first=True)),
    rank.risk_area(_split(ranking, wrong_first=False)),
  )


def _coverage_bounds(ranking: Ranking) -> Interval:
  """E(k) is highest with the wrong pixels of each step trusted most."""
  low, high = (
    rank.coverage_at_risk(_split(ranking, wrong_first=first))['0.05']
    for first in (False, True)
  )
  assert low is not None and high is not None  # There are pixels.
  return low, high


def _split(ranking: Ranking, *, wrong_first: bool) -> Ranking:
  """Puts right and wrong pixels of each untied step into two tied steps."""
  wrong_leads = ranking.tied | wrong_first
  correct_leads = ranking.tied | (not wrong_first)
  return Ranking(
    correct=_in_two(ranking.correct, correct_leads),
    wrong=_in_two(ranking.wrong, wrong_leads),
    tied=np.ones(2 * len(ranking.tied), bool),
  )


def _in_two(counts: np.ndarray, leads: np.ndarray) -> np.ndarray:
  """Two steps for each: the counts in the first where `leads`, else second."""
  return np.stack([counts * leads, counts * ~leads], axis=1).reshape(-1)
