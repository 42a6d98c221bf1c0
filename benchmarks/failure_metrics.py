"""Rate and error of the failure metrics against scikit-learn, in one run.

`python -m benchmarks.failure_metrics [--pixels=10000000] [--repeats=15]`

Scores are drawn like the logits of a failure network: right pixels N(-3, 2),
wrong ones N(0, 2), a tenth of the pixels wrong, 19 classes of the uneven sizes
of street scenes, a twentieth void. scikit-learn (and numpy for AURC, which it
lacks) computes the five metrics AP-Err, AP-Suc, AUROC, FPR95 and AURC of all
pixels together, and so does PyTorch by one sort, where it is installed. Ours
are those, AUGRC, FPR95 the other way round, the risks and their bounds, pooled
and for each of the 19 classes, in three ways: as an evaluation computes them
(counts, with the pixels of small classes and those around FPR95's thresholds
kept), by counts alone, and with every score kept. All times are the fastest of
some runs, which a busy machine disturbs least; of ours, taken in turns, a run
is all from the first pixel to the last metric.
"""

import argparse
import importlib.util
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from benchmarks.subjects import steppers
from fsnet_jax.metrics.failure import FailureHistogram, failure_counts
from fsnet_jax.metrics.ranking import FPR95_PERCENT, ExactFailure

NUM_CLASSES = 19
METRICS = ('ap_error', 'ap_success', 'auroc', 'fpr95_error', 'aurc')


def draw_pixels(count: int, seed: int) -> tuple[np.ndarray, ...]:
  """Scores, wrong, valid and group of `count` pixels."""
  rng = np.random.default_rng(seed)
  wrong = rng.random(count) < 0.1
  score = rng.normal(-3 + 3 * wrong, 2).astype(np.float32)
  valid = rng.random(count) < 0.95
  shares = 0.65 ** np.arange(NUM_CLASSES)
  group = rng.choice(NUM_CLASSES, count, p=shares / shares.sum())
  return score, wrong, valid, group.astype(np.uint8)


def reference_metrics(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
  """The five metrics by scikit-learn and numpy."""
  false_rate, true_rate, _ = roc_curve(wrong, score, drop_intermediate=False)
  failures = np.cumsum(wrong[np.argsort(score, kind='stable')])
  return {
    'ap_error': average_precision_score(wrong, score),
    'ap_success': average_precision_score(~wrong, -score),
    'auroc': roc_auc_score(wrong, score),
    'fpr95_error': false_rate[np.argmax(true_rate >= FPR95_PERCENT / 100)],
    'aurc': float(np.mean(failures / np.arange(1, len(wrong) + 1))),
  }


def torch_metrics(score: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
  """The five metrics by PyTorch, from one sort; ties in one step."""
  import torch

  order = torch.argsort(torch.from_numpy(score), descending=True)
  ranked = torch.from_numpy(wrong)[order]
  values = torch.from_numpy(score)[order]
  last = torch.ones(len(values), dtype=torch.bool)
  last[:-1] = values[1:] != values[:-1]
  ends = torch.nonzero(last)[:, 0]
  found = torch.cumsum(ranked, 0)[ends].double()
  flagged = (ends + 1).double()
  errors, right = found[-1], flagged[-1] - found[-1]
  recall = found / errors
  false_rate = (flagged - found) / right
  steps = torch.diff(found, prepend=torch.zeros(1))
  kept = flagged[-1] - torch.cat([torch.zeros(1), flagged[:-1]])
  kept_right = right - torch.cat([torch.zeros(1), (flagged - found)[:-1]])
  failures = torch.cumsum(ranked.flip(0), 0)
  enough = recall >= FPR95_PERCENT / 100
  places = torch.arange(1, len(failures) + 1)
  right_steps = torch.diff(flagged - found, prepend=torch.zeros(1))
  return {
    'ap_error': float((steps * found / flagged).sum() / errors),
    'ap_success': float((right_steps * kept_right / kept).sum() / right),
    'auroc': float(torch.trapezoid(recall, false_rate))
    + float(recall[0] * false_rate[0] / 2),
    'fpr95_error': float(false_rate[torch.argmax(enough.int())]),
    'aurc': float((failures / places).double().mean()),
  }


def timed(function: Callable[[], Any], repeats: int) -> tuple[float, Any]:
  """Fastest seconds of a call, and its last result."""
  seconds, result = [], None
  for _ in range(repeats):
    start = time.perf_counter()
    result = jax.block_until_ready(function())
    seconds.append(time.perf_counter() - start)
  return min(seconds), result


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
  parser.add_argument('--pixels', type=int, default=2_000_000)
  parser.add_argument('--batch', type=int, default=1_000_000)
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument(
    '--peer_repeats', type=int, default=2, help='of the others'
  )
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--json', default='', help='file for the rates')
  args = parser.parse_args()
  pixels = draw_pixels(args.pixels, args.seed)
  batches = [
    jax.device_put(tuple(array[start : start + args.batch] for array in pixels))
    for start in range(0, args.pixels, args.batch)
  ]
  score, wrong, valid, _ = pixels
  print(f'{args.pixels} pixels in {len(batches)} batches, {jax.devices()[0]}')

  seconds, reference = timed(
    lambda: reference_metrics(score[valid], wrong[valid]), args.peer_repeats
  )
  peer_rate = args.pixels / seconds
  rows = [_row('scikit-learn', seconds, args.pixels, peer_rate)]
  print(f'scikit-learn: {seconds:.3f} s, {peer_rate / 1e6:.2f} Mpx/s')

  if importlib.util.find_spec('torch'):
    seconds, found = timed(
      lambda: torch_metrics(score[valid], wrong[valid]), args.peer_repeats
    )
    rows.append(_row('PyTorch, one sort', seconds, args.pixels, peer_rate))
    print(f'PyTorch: {seconds:.3f} s, {args.pixels / seconds / peer_rate:.1f}x')
    errors = (f'{found[m] - reference[m]:+.1e}' for m in METRICS)
    print(f'  error {dict(zip(METRICS, errors))}')

  ways = {
    'as an evaluation does': FailureHistogram.empty(NUM_CLASSES),
    'counts alone': FailureHistogram.empty(NUM_CLASSES, 0),
    'every score kept': ExactFailure.empty(NUM_CLASSES),
  }
  best = {}
  for _ in range(args.repeats + 1):  # in turns; the first compiles
    for title, empty in ways.items():
      run = timed_run(empty, batches)
      if title not in best or sum(run[:2]) < sum(best[title][:2]):
        best[title] = run
  for title, run in best.items():
    report(title, *run, args.pixels, reference, peer_rate)
    rows.append(_row(title, sum(run[:2]), args.pixels, peer_rate))
    errors = (run[2]['pooled'][m] - reference[m] for m in METRICS)
    rows[-1]['largest_error'] = max(map(abs, errors))
  if args.json:
    found = {'pixels': args.pixels, 'gib': steppers.gib('jax'), 'rows': rows}
    Path(args.json).write_text(json.dumps(found, indent=1))


def _row(
  title: str, seconds: float, pixels: int, peer_rate: float
) -> dict[str, Any]:
  """Of the table that is written."""
  rate = pixels / seconds
  return {
    'way': title,
    'seconds': seconds,
    'pixels_per_s': rate,
    'ratio': rate / peer_rate,
  }


_count = jax.jit(failure_counts, static_argnums=(4, 6))


def timed_run(
  empty: FailureHistogram | ExactFailure, batches: list
) -> tuple[float, float, dict[str, Any]]:
  """Seconds to take the batches and to compute the metrics, and these."""
  start = time.perf_counter()
  total = empty
  for batch in batches:
    if isinstance(total, ExactFailure):
      total = total.update(*batch)
    else:
      keep = total.exact_pixels > 0
      total = total.add(_count(*batch, NUM_CLASSES, None, keep))
  middle = time.perf_counter()
  result = total.compute()
  return middle - start, time.perf_counter() - middle, result


def report(title, summing, computing, result, pixels, reference, peer_rate):
  """Prints the rate, the errors and the bounds of a way to count."""
  seconds = summing + computing
  rate = pixels / seconds
  print(
    f'{title}: {seconds:.3f} s ({summing:.3f} to take the pixels, '
    f'{computing:.3f} to compute), {rate / 1e6:.1f} Mpx/s, '
    f'{rate / peer_rate:.1f}x'
  )
  for metric in METRICS:
    value = result['pooled'][metric]
    low, high = result['pooled_bounds'][metric]
    print(
      f'  {metric:12s} {value:.6f} error {value - reference[metric]:+.1e}, '
      f'certified width {high - low:.1e}'
    )


if __name__ == '__main__':
  main()
