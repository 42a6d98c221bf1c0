"""Ranking metrics of many rankings of the same steps at once.

A bootstrap ranks the same ranges of score some hundred times, each time with
other numbers of pixels in them. `ranking.ranking_metrics` would spend its time
in the overhead of a few dozen small operations for each; here a row of an
array is a ranking. Formulas and names are those of `ranking`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from fsnet_jax.metrics.ranking.fpr95 import fpr95
from fsnet_jax.metrics.ranking.ranking import (
  RISKS,
  coverage_within,
  harmonic_difference,
)

Rows = Float[np.ndarray, 'r s']


def ranking_metrics_batched(
  correct: Rows,
  wrong: Rows,
  tied: Bool[np.ndarray, ' s'],
  metrics: Sequence[str] | None = None,
) -> Mapping[str, Float[np.ndarray, ' r']]:
  """The metrics of each row, most suspicious step first.

  Args:
    correct: whole numbers, rightly segmented pixels of each step.
    wrong: likewise, wrongly segmented ones.
    tied: whether the pixels of a step all have the same score.
    metrics: those wanted, of those below; None: all.

  Returns:
    `ap_error`, `ap_success`, `auroc`, `fpr95_error`, `aurc`, `augrc` and
    `coverage_at_5_risk`, as `ranking.ranking_metrics` defines them; NaN in
    rows without a single wrong or without a single right pixel.
  """
  errors, rights = wrong.sum(axis=1), correct.sum(axis=1)
  defined = (errors > 0) & (rights > 0)
  wrong, correct = wrong[defined], correct[defined]
  total = wrong + correct
  compute: dict[str, Callable[[], np.ndarray]] = {
    'ap_error': lambda: _average_precision(wrong, correct, tied),
    'ap_success': lambda: _average_precision(
      correct[:, ::-1], wrong[:, ::-1], tied[::-1]
    ),
    'auroc': lambda: _auroc(wrong, correct),
    'fpr95_error': lambda: fpr95(wrong, correct, tied),
    'aurc': lambda: _risk_area(wrong[:, ::-1], total[:, ::-1]),
    'augrc': lambda: _generalised_risk_area(wrong[:, ::-1], total[:, ::-1]),
    'coverage_at_5_risk': lambda: coverage_within(
      wrong[:, ::-1], total[:, ::-1], RISKS['0.05']
    ),
  }
  return {
    name: _spread(compute[name](), defined)
    for name in (compute if metrics is None else metrics)
  }


def _spread(values: np.ndarray, defined: np.ndarray) -> np.ndarray:
  """The values in their rows, NaN elsewhere."""
  rows = np.full(len(defined), np.nan)
  rows[defined] = values
  return rows


def _before(counts: np.ndarray) -> np.ndarray:
  return np.cumsum(counts, axis=1) - counts


def _average_precision(
  wrong: np.ndarray, correct: np.ndarray, tied: np.ndarray
) -> np.ndarray:
  """Average precision with the wrong pixels as positives."""
  total = wrong + correct
  wrong_before, total_before = _before(wrong), _before(total)
  gain = wrong * ((wrong_before + wrong) / np.maximum(total_before + total, 1))
  mixed = ~tied & (wrong > 0) & (total > 1)
  w, m = wrong[mixed], total[mixed]
  slope = (w - 1) / (m - 1)
  start = total_before[mixed]
  rest = wrong_before[mixed] + 1 - slope * (start + 1)
  harmonic = harmonic_difference(start.astype(np.int64), m.astype(np.int64))
  gain[mixed] = w / m * (slope * m + rest * harmonic)
  return gain.sum(axis=1) / wrong.sum(axis=1)


def _auroc(wrong: np.ndarray, correct: np.ndarray) -> np.ndarray:
  """Chance that a wrong pixel precedes a right one, ties one half."""
  pairs = np.einsum('rs,rs->r', _before(wrong) + wrong / 2, correct)
  return pairs / wrong.sum(axis=1) / correct.sum(axis=1)


def _risk_area(failures: np.ndarray, total: np.ndarray) -> np.ndarray:
  """AURC; steps most trusted first."""
  start, done = _before(total), _before(failures)
  growth = np.log1p(total / np.maximum(start, 1)) * (start > 0)
  area = failures + (done - failures * start / np.maximum(total, 1)) * growth
  return area.sum(axis=1) / total.sum(axis=1)


def _generalised_risk_area(
  failures: np.ndarray, total: np.ndarray
) -> np.ndarray:
  """AUGRC; steps most trusted first."""
  general = np.einsum('rs,rs->r', _before(failures) + failures / 2, total)
  return general / total.sum(axis=1) ** 2
