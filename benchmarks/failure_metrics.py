"""Rate and error of the failure metrics against other ways, in one run.

    python -m benchmarks.failure_metrics [--pixels=10000000] [--repeats=15]
    taskset -c 0 python -m benchmarks.failure_metrics --clock=cpu

Scores are drawn like the logits of a failure network: right pixels N(-3, 2),
wrong ones N(0, 2), a tenth of the pixels wrong, 19 classes of the uneven sizes
of street scenes, a twentieth void. Of all pixels together the five metrics
AP-Err, AP-Suc, AUROC, FPR95 and AURC are computed by scikit-learn (and numpy
for AURC, which it lacks), by one sort of NumPy's and one of PyTorch's; by
counts in bins of the score's first 16 bits (`torch.bincount`) PyTorch has them
for each of the 19 classes too (`benchmarks.peers.ranking`). Ours are those,
AUGRC, FPR95 the other way round, the risks and their bounds, pooled and for
each class, in three ways: as an evaluation computes them (counts, with the
pixels of small classes and those around FPR95's thresholds kept), by counts
alone, and with every score kept. Counts compare with counts and exact ways with
sorts: the table has a ratio to each. All but scikit-learn take turns; a run is
all from the first pixel to the last metric, and the fastest of some runs is
what a busy machine disturbs least. `--clock=cpu` counts the processor time of
all threads, of which PyTorch has one then.
"""

import argparse
import importlib.util
import json
import os
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from benchmarks.peers import ranking
from benchmarks.subjects import steppers
from benchmarks.subjects.contest import CLOCKS
from benchmarks.train_step import machine
from fsnet_jax.metrics.failure import FailureHistogram, failure_counts
from fsnet_jax.metrics.ranking import FPR95_PERCENT, ExactFailure

# Threads of PyTorch that wait do not count as work.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
NUM_CLASSES = 19
METRICS = ('ap_error', 'ap_success', 'auroc', 'fpr95_error', 'aurc')
# Ratios are to these.
_PEERS = {
  'scikit-learn',
  'NumPy, one sort',
  'PyTorch, one sort',
  'PyTorch, counts',
}


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


class Ways:
  """Every way to compute the metrics, by title: a call is a run of one."""

  def __init__(self, pixels: tuple[np.ndarray, ...], batch: int):
    score, wrong, valid, group = pixels
    self.peers: dict[str, Callable[[], dict[str, float]]] = {
      'NumPy, one sort': lambda: ranking.numpy_sort(score[valid], wrong[valid])
    }
    if importlib.util.find_spec('torch'):
      self.peers |= {
        'PyTorch, one sort': lambda: ranking.torch_sort(
          score[valid], wrong[valid]
        ),
        'PyTorch, counts': lambda: ranking.torch_counts(
          score, wrong, valid, group, NUM_CLASSES
        )[0],
      }
    batches = [
      jax.device_put(tuple(array[start : start + batch] for array in pixels))
      for start in range(0, len(score), batch)
    ]
    own = {
      'as an evaluation does': FailureHistogram.empty(NUM_CLASSES),
      'counts alone': FailureHistogram.empty(NUM_CLASSES, 0),
      'every score kept': ExactFailure.empty(NUM_CLASSES),
    }
    self.own = {
      title: lambda empty=empty: _all_of(empty, batches)
      for title, empty in own.items()
    }

  def reference(self, pixels: tuple[np.ndarray, ...]) -> dict[str, float]:
    """The five metrics by scikit-learn."""
    score, wrong, valid, _ = pixels
    return reference_metrics(score[valid], wrong[valid])


def timed(
  function: Callable[[], Any], now: Callable[[], float]
) -> tuple[float, Any]:
  """Seconds of a call, and its result."""
  start = now()
  result = jax.block_until_ready(function())
  return now() - start, result


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--pixels', type=int, default=2_000_000)
  parser.add_argument('--batch', type=int, default=1_000_000)
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument(
    '--peer_repeats', type=int, default=2, help='of scikit-learn'
  )
  parser.add_argument('--clock', default='wall', choices=sorted(CLOCKS))
  parser.add_argument('--seed', type=int, default=0)
  parser.add_argument('--json', default='', help='file for the rates')
  args = parser.parse_args()
  now = CLOCKS[args.clock]
  if args.clock == 'cpu' and importlib.util.find_spec('torch'):
    import torch

    torch.set_num_threads(1)
  pixels = draw_pixels(args.pixels, args.seed)
  ways = Ways(pixels, args.batch)
  print(f'{machine()}, {args.clock} clock, {args.pixels} pixels')

  runs = [
    timed(lambda: ways.reference(pixels), now) for _ in range(args.peer_repeats)
  ]
  times = {'scikit-learn': [seconds for seconds, _ in runs]}
  reference = runs[0][1]
  results = {'scikit-learn': reference}
  for repeat in range(args.repeats + 1):  # in turns; the first compiles
    for title, run in (ways.peers | ways.own).items():
      seconds, results[title] = timed(run, now)
      if repeat:
        times.setdefault(title, []).append(seconds)
  for title in ways.own:
    report(title, results[title], reference)
    results[title] = results[title]['pooled']
  rows = _rows(times, results, args.pixels)
  print_table(rows)
  if args.json:
    found = {'pixels': args.pixels, 'gib': steppers.gib('jax'), 'rows': rows}
    Path(args.json).write_text(json.dumps(found, indent=1))


def _rows(
  times: Mapping[str, list[float]],
  results: Mapping[str, Mapping[str, float]],
  pixels: int,
) -> list[dict[str, Any]]:
  """Of the table that is written; `ratio` is to scikit-learn."""
  fastest = {title: min(each) for title, each in times.items()}
  reference = results['scikit-learn']
  return [
    {
      'way': title,
      'seconds': seconds,
      'median': statistics.median(times[title]),
      'pixels_per_s': pixels / seconds,
      'ratio': fastest['scikit-learn'] / seconds,
      'ratios': {
        peer: fastest[peer] / seconds for peer in _PEERS & fastest.keys()
      },
      'largest_error': ranking.largest_error(
        results[title], reference, METRICS
      ),
    }
    for title, seconds in fastest.items()
  ]


def print_table(rows: list[dict[str, Any]]) -> None:
  """How many times as fast as each of the others, by fastest runs."""
  peers = [row['way'] for row in rows if row['way'] in _PEERS]
  columns = ['', 's', 'median', 'Mpx/s', *(f'x {peer}' for peer in peers)]
  print(f'| {" | ".join([*columns, "largest error"])} |')
  print(f'|{" --- |" * (len(columns) + 1)}')
  for row in rows:
    ratios = [f'{row["ratios"][peer]:.2f}' for peer in peers]
    cells = [
      row['way'],
      f'{row["seconds"]:.3f}',
      f'{row["median"]:.3f}',
      f'{row["pixels_per_s"] / 1e6:.1f}',
      *ratios,
      f'{row["largest_error"]:.1e}',
    ]
    print(f'| {" | ".join(cells)} |')


_count = jax.jit(failure_counts, static_argnums=(4, 6))


def _all_of(
  empty: FailureHistogram | ExactFailure, batches: list
) -> dict[str, Any]:
  """The metrics of all batches."""
  total = empty
  for batch in batches:
    if isinstance(total, ExactFailure):
      total = total.update(*batch)
    else:
      keep = total.exact_pixels > 0
      total = total.add(_count(*batch, NUM_CLASSES, None, keep))
  return total.compute()


def report(
  title: str, result: dict[str, Any], reference: dict[str, float]
) -> None:
  """Prints the errors and the bounds of a way of ours."""
  print(f'{title}:')
  for metric in METRICS:
    value = result['pooled'][metric]
    low, high = result['pooled_bounds'][metric]
    print(
      f'  {metric:12s} {value:.6f} error {value - reference[metric]:+.1e}, '
      f'certified width {high - low:.1e}'
    )


if __name__ == '__main__':
  main()
