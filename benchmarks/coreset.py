"""Acquisition at scale: time per pick and memory on many embeddings.

`python -m benchmarks.coreset [--images=1000000] [--dims=256] [--picks=10000]
  [--labelled=1000] [--strategies=coreset,coreset_cosine,badge]
  [--limit_gib=8]`

Embeddings are synthetic: float32, normal around 100 centres. For each strategy
the whole choice is timed, up to half of the picks and to its end, and then the
choice from half the images: `half picks` and `half images` are 0.5 if a pick
costs the same whenever it is made and in proportion to the images, and more
where it grows cheaper or grows less. Times are the processor's, which a busy
machine disturbs least. The peak is that of the process, embeddings included;
the run fails above the limit. The last column tells what the full size would
take if times grew in proportion.
"""

import argparse
import resource
import sys
import time
from unittest import mock

import numpy as np

from segxal_jax import acquisition
from segxal_jax.acquisition import Candidates
from segxal_jax.acquisition.nearest import Nearest

_FULL = (1_000_000, 10_000)
_CENTRES = 100


def embeddings(count: int, dims: int, seed: int) -> np.ndarray:
  """float32 [count dims], made in blocks: no second copy is ever held."""
  rng = np.random.default_rng(seed)
  centres = 3 * rng.standard_normal((_CENTRES, dims), np.float32)
  points = np.empty((count, dims), np.float32)
  for start in range(0, count, 8192):
    rows = points[start : start + 8192]
    rng.standard_normal(out=rows, dtype=np.float32)
    rows += centres[rng.integers(_CENTRES, size=len(rows))]
  return points


def seconds(
  name: str, points: np.ndarray, centres: np.ndarray, picks: int
) -> tuple[float, float]:
  """Of one choice, up to half of the picks and whole; no image comes twice."""
  candidates = Candidates(
    np.arange(len(points)), embedding=points, centres=centres
  )
  halfway = []
  add = Nearest.add

  def noted(nearest: Nearest, pick: int) -> None:
    add(nearest, pick)
    made.append(pick)
    if len(made) == picks // 2:
      halfway.append(time.process_time() - start)

  made: list[int] = []
  start = time.process_time()
  with mock.patch.object(Nearest, 'add', noted):
    batch = acquisition.create(name).select(
      candidates, picks, np.random.default_rng(0)
    )
  taken = time.process_time() - start
  if len(np.unique(batch.index)) != min(picks, len(points)):
    raise SystemExit(f'{name} picked an image twice')
  return (halfway or [taken])[0], taken


def peak_gib() -> float:
  """Of the process so far."""
  unit = 1 if sys.platform == 'darwin' else 1024
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak * unit / 2**30


def measure(args: argparse.Namespace, name: str, points, centres) -> None:
  """Prints the row of a strategy."""
  # Without the distances to the labelled images, which no pick repeats.
  fixed = seconds(name, points, centres, 0)[1]
  half_picks, whole = (
    taken - fixed for taken in seconds(name, points, centres, args.picks)
  )
  half = points[: len(points) // 2]
  half_images = (
    seconds(name, half, centres, args.picks)[1]
    - seconds(name, half, centres, 0)[1]
  )
  work = len(points) * args.picks
  print(
    f'| {name} | {fixed:.2f} | {whole:.2f} | {1e3 * whole / args.picks:.2f} | '
    f'{half_picks / whole:.2f} | {half_images / whole:.2f} | '
    f'{peak_gib():.2f} | {whole * _FULL[0] * _FULL[1] / work / 60:.0f} |',
    flush=True,
  )


def main() -> None:
  parser = argparse.ArgumentParser(description=__doc__)
  parser.add_argument('--images', type=int, default=_FULL[0])
  parser.add_argument('--dims', type=int, default=256)
  parser.add_argument('--picks', type=int, default=_FULL[1])
  parser.add_argument('--labelled', type=int, default=1000)
  parser.add_argument('--strategies', default='coreset,coreset_cosine,badge')
  parser.add_argument('--limit_gib', type=float, default=8.0)
  args = parser.parse_args()
  points = embeddings(args.images, args.dims, seed=0)
  centres = embeddings(args.labelled, args.dims, seed=1)
  print(
    f'{args.images:,} embeddings of {args.dims}, {args.labelled:,} labelled, '
    f'{args.picks:,} picks\n\n'
    '| strategy | s before the first pick | s for all picks | ms a pick | '
    'half picks | half images | peak GiB | '
    f'minutes for {_FULL[1]:,} picks of {_FULL[0]:,} |\n'
    '|---|---|---|---|---|---|---|---|'
  )
  for name in args.strategies.split(','):
    measure(args, name, points, centres)
  if peak_gib() > args.limit_gib:
    raise SystemExit(f'peak {peak_gib():.2f} GiB is above {args.limit_gib} GiB')


if __name__ == '__main__':
  main()
