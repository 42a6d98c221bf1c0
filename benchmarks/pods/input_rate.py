"""Images a second that one core reads, augments and batches.

    taskset -c 0 python -m benchmarks.pods.input_rate

Drawn streets as prepared files; processor time of the whole process over some
batches, after a few that are not counted.
"""

from __future__ import annotations

import argparse
import tempfile
import time

from benchmarks.train_step import machine
from input_pipeline import loader
from input_pipeline.datasets import DataRequest, Source, open_source

_BATCH = 8
# Of `configs/fsnet_fcn8.py` without and with a folder of one's own.
_AUGMENT = (('flip',), ('flip', 'scale_crop', 'color_jitter'))


def main() -> None:
  """Prints a line an augmentation."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--image_size', default='256,512', help='height,width')
  parser.add_argument('--scenes', type=int, default=32, help='drawn once')
  parser.add_argument('--batches', type=int, default=40)
  options = parser.parse_args()
  height, width = map(int, options.image_size.split(','))
  print(machine())
  with tempfile.TemporaryDirectory() as folder:
    request = DataRequest(
      image_size=(height, width),
      cache_dir=folder,
      num_examples={'train': options.scenes},
    )
    source = open_source('streets/day:train', request)
    for augment in _AUGMENT:
      _measure(source, augment, options.batches)


def _measure(source: Source, augment: tuple[str, ...], count: int) -> None:
  """Prints the line of one augmentation."""
  batches = loader.train_loader(
    source, batch_size=_BATCH, seed=0, augment=augment
  )
  for _ in range(5):
    next(batches)
  started, wall = time.process_time(), time.perf_counter()
  for _ in range(count):
    next(batches)
  spent = time.process_time() - started
  wall = time.perf_counter() - wall
  batches.close()
  images = _BATCH * count
  print(
    f'{", ".join(augment):30}{images / spent:8.0f} images/s of a core, '
    f'{images / wall:.0f} by the clock'
  )


if __name__ == '__main__':
  main()
