"""Failure metrics by scikit-learn and by direct sums, for comparison."""

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve


def fpr95(positive: np.ndarray, score: np.ndarray) -> float:
  """False positive rate at the first threshold with TPR >= 0.95."""
  false_rate, true_rate, _ = roc_curve(positive, score, drop_intermediate=False)
  return float(false_rate[np.argmax(true_rate >= 0.95)])


def failures_curve(
  score: np.ndarray, wrong: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Corners (k, E(k)) of the expected errors among the k most trusted."""
  _, inverse = np.unique(score, return_inverse=True)
  kept = np.cumsum(np.bincount(inverse))
  failures = np.cumsum(np.bincount(inverse, weights=wrong))
  return np.concatenate([[0], kept]), np.concatenate([[0], failures])


def coverage_at_risk(
  score: np.ndarray, wrong: np.ndarray, risk: float
) -> float:
  """Largest k / n with E(k) <= risk k, by a look at every corner."""
  kept, failures = failures_curve(score, wrong)
  found = 0.0
  for low, high, start, stop in zip(kept, kept[1:], failures, failures[1:]):
    # The line from corner to corner against the line through the origin.
    ends = start - risk * low, stop - risk * high
    if ends[1] <= 1e-9:
      found = high
    elif ends[0] <= 1e-9:
      found = low + (high - low) * -ends[0] / (ends[1] - ends[0])
  return float(found / len(wrong))


def reference(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
  """Every ranking metric; needs at least one right and one wrong pixel."""
  kept, failures = failures_curve(score, wrong)
  size = len(wrong)
  # The integral of E(k) / k over each corner's piece by the midpoint rule on
  # a grid so fine that its error is below 1e-7; a first piece has slope E / k.
  aurc = failures[1]
  for low, high, start, stop in zip(
    kept[1:], kept[2:], failures[1:], failures[2:]
  ):
    edges = np.linspace(low, high, 201)
    middle = (edges[1:] + edges[:-1]) / 2
    errors = start + (stop - start) * (middle - low) / (high - low)
    aurc += np.mean(errors / middle) * (high - low)
  aurc /= size
  rate = wrong.mean()
  return {
    'ap_error': average_precision_score(wrong, score),
    'ap_success': average_precision_score(~wrong, -score),
    'auroc': roc_auc_score(wrong, score),
    'fpr95_error': fpr95(wrong, score),
    'fpr95_success': fpr95(~wrong, -score),
    'aurc': aurc,
    'e_aurc': aurc - (rate + (1 - rate) * np.log(1 - rate)),
    'augrc': np.trapezoid(failures, kept) / size**2,
    'coverage_at_5_risk': coverage_at_risk(score, wrong, 0.05),
  }


def fast_reference(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
  """The same for many pixels; AURC and AUGRC as plain means, without ties."""
  order = np.argsort(score, kind='stable')
  failures = np.cumsum(wrong[order])
  size, rate = len(wrong), wrong.mean()
  aurc = np.mean(failures / np.arange(1, size + 1))
  return {
    'ap_error': average_precision_score(wrong, score),
    'ap_success': average_precision_score(~wrong, -score),
    'auroc': roc_auc_score(wrong, score),
    'fpr95_error': fpr95(wrong, score),
    'fpr95_success': fpr95(~wrong, -score),
    'aurc': aurc,
    'e_aurc': aurc - (rate + (1 - rate) * np.log(1 - rate)),
    'augrc': np.mean(failures / size),
    'coverage_at_5_risk': np.flatnonzero(
      np.concatenate([[True], failures <= 0.05 * np.arange(1, size + 1) + 1e-9])
    )[-1]
    / size,
  }
