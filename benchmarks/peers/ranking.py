"""Failure metrics as users of NumPy and PyTorch write them: sorts and counts.

Each takes scores (higher = more likely wrong) and what is wrong, and returns
AP-Err, AP-Suc, AUROC, FPR95 and AURC by name. Pixels of equal score are one
step of a curve; in AURC, whose sums have no ties, errors come first.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

FPR95_SHARE = 0.95
# Bins of a score's magnitude, 128 an octave, from 2^-24 to 2^8: the first 16
# bits of a float32. What lies outside shares the outermost bins.
_LOWEST, _HIGHEST = (127 - 24) << 7, (127 + 8) << 7
_MAGNITUDES = _HIGHEST - _LOWEST + 1
NUM_BINS = 2 * _MAGNITUDES


def numpy_sort(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
  """By one sort of keys that hold the score and whether it is wrong."""
  bits = (score + np.float32(0)).view(np.int32)  # -0 is 0.
  # Integers of the order of the scores.
  keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
  packed = (keys.astype(np.int64) << 1) | wrong
  packed.sort()
  ranked = (packed & 1)[::-1]
  keys = packed[::-1] >> 1
  last = np.append(keys[1:] != keys[:-1], True)
  ends = np.flatnonzero(last)
  failures = np.cumsum(ranked)
  found = failures[ends].astype(np.float64)
  flagged = ends + 1.0
  count = len(ranked)
  # From the lowest score on: errors among those that are kept.
  kept = failures[-1] - failures + ranked
  risks = kept / (count - np.arange(count))
  return _metrics(np, found, flagged) | {'aurc': float(risks.mean())}


def torch_sort(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
  """Likewise: faster than to sort scores and to index what is wrong."""
  import torch

  bits = (torch.from_numpy(score) + 0.0).view(torch.int32)
  keys = bits ^ ((bits >> 31) & 0x7FFFFFFF)
  packed = (keys.long() << 1) | torch.from_numpy(wrong)
  packed = torch.sort(packed).values.flip(0)
  keys = packed >> 1
  last = torch.ones(len(keys), dtype=torch.bool)
  torch.ne(keys[1:], keys[:-1], out=last[:-1])
  ends = torch.nonzero(last)[:, 0]
  failures = torch.cumsum(packed & 1, 0)
  found = failures[ends].double()
  flagged = (ends + 1).double()
  count = len(packed)
  kept = failures[-1] - failures + (packed & 1)
  risks = kept / torch.arange(count, 0, -1)
  return _metrics(torch, found, flagged) | {'aurc': float(risks.mean())}


def torch_counts(
  score: np.ndarray,
  wrong: np.ndarray,
  valid: np.ndarray,
  group: np.ndarray,
  num_groups: int,
) -> list[dict[str, float]]:
  """By counts in bins, `torch.bincount`: of all pixels, and of each group.

  Args:
    score: float32 [n].
    wrong: bool [n].
    valid: bool [n], the pixels that count.
    group: uint8 [n].
    num_groups: number of groups.
  """
  import torch

  bits = torch.from_numpy(score.view(np.int32))
  units = ((bits & 0x7FFFFFFF) >> 16).clamp_(_LOWEST, _HIGHEST) - _LOWEST
  bins = torch.where(bits < 0, _MAGNITUDES - 1 - units, _MAGNITUDES + units)
  row = torch.from_numpy(group).int() * 2 + torch.from_numpy(wrong)
  # Pixels that do not count have a row of their own.
  row = torch.where(torch.from_numpy(valid), row, 2 * num_groups)
  flat = torch.bincount(
    row * NUM_BINS + bins, minlength=(2 * num_groups + 1) * NUM_BINS
  )
  table = flat[: 2 * num_groups * NUM_BINS].view(num_groups, 2, NUM_BINS)
  return [_of_table(one) for one in (table.sum(0), *table)]


def _of_table(table: Any) -> dict[str, float]:
  """The metrics of counts [right and wrong, bin]."""
  import torch

  counts = table.flip(1).double()
  found = torch.cumsum(counts[1], 0)
  flagged = torch.cumsum(counts.sum(0), 0)
  used = counts.sum(0) > 0
  metrics = _metrics(torch, found[used], flagged[used])
  total, errors = flagged[-1], found[-1]
  # The mean over a bin's pixels of the risk of what is below, which changes
  # linearly within a bin.
  size = counts.sum(0)[used]
  above = flagged[used] - size / 2
  missed = errors - (found[used] - counts[1][used] / 2)
  risks = missed / (total - above).clamp_min(1.0)
  return metrics | {'aurc': float((risks * size).sum() / total)}


def _metrics(library: Any, found: Any, flagged: Any) -> dict[str, float]:
  """The metrics of a curve's points, from the highest score on.

  Args:
    library: NumPy or PyTorch.
    found: float64 [n], errors among the pixels that are flagged.
    flagged: float64 [n], how many these are.
  """
  errors, right = found[-1], flagged[-1] - found[-1]
  passed = flagged - found
  recall, false_rate = found / errors, passed / right
  steps, right_steps = _steps(found), _steps(passed)
  kept = flagged[-1] - flagged + steps + right_steps
  kept_right = right - passed + right_steps
  enough = recall >= FPR95_SHARE
  first = int(library.argmax(enough + 0 if library is np else enough.int()))
  heights = recall - steps / errors / 2
  return {
    'ap_error': float((steps * found / flagged).sum() / errors),
    'ap_success': float((right_steps * kept_right / kept).sum() / right),
    'auroc': float((right_steps * heights).sum() / right),
    'fpr95_error': float(false_rate[first]),
  }


def _steps(values: Any) -> Any:
  """From one to the next of values that begin after 0."""
  found = values.copy() if isinstance(values, np.ndarray) else values.clone()
  found[1:] -= values[:-1]
  return found


def largest_error(
  found: Mapping[str, float],
  expected: Mapping[str, float],
  names: Sequence[str],
) -> float:
  """Largest distance of some metrics."""
  return max(abs(found[name] - expected[name]) for name in names)
