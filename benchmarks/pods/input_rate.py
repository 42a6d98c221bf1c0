"""Images a second that one core reads, augments and batches.

    taskset -c 0 python -m benchmarks.pods.input_rate
    taskset -c 0 python -m benchmarks.pods.input_rate --image_size=64,128

Drawn streets as prepared files, as training reads them, in threads or with one
worker; the same from a list in memory, so that the files' share is seen; and
PyTorch's `DataLoader` over the same arrays in memory with the same changes,
without workers and with one. Processor time of the process and its workers over
some batches, after a few that are not counted; the contenders take turns, and
the fastest of the rounds is printed.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import pathlib
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from absl import flags

from benchmarks.train_step import machine
from input_pipeline import loader, transforms
from input_pipeline.datasets import DataRequest, Source, open_source

_BATCH = 8
# Of `configs/fsnet_fcn8.py` without and with a folder of one's own.
_AUGMENT = ((), ('flip',), ('flip', 'scale_crop', 'color_jitter'))
_UNCOUNTED = 5


class InMemory:
  """Scenes of a source as a list."""

  def __init__(self, source: Source):
    self._scenes = [source[index] for index in range(len(source))]

  def __len__(self) -> int:
    return len(self._scenes)

  def __getitem__(self, index: int) -> dict[str, Any]:
    return self._scenes[index]


def _ours(source: Any, augment: tuple[str, ...], workers: int) -> Iterator[Any]:
  return loader.train_loader(
    source, batch_size=_BATCH, seed=0, augment=augment, num_workers=workers
  )


def _torch(
  scenes: InMemory, augment: tuple[str, ...], workers: int
) -> Iterator[Any]:
  """Endless batches of PyTorch's loader."""
  import torch

  changes = transforms.resolve(augment)
  images = np.stack([scene['image'] for scene in scenes])
  labels = np.stack([scene['label'] for scene in scenes])

  class Dataset(torch.utils.data.Dataset):
    def __len__(self) -> int:
      return len(images)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
      element = {'image': images[index], 'label': labels[index]}
      if changes:
        seed = int(torch.randint(1 << 31, ()))
        generator = np.random.default_rng(seed)
        for change in changes:
          element = change(element, generator)
      return (
        torch.from_numpy(element['image']),
        torch.from_numpy(element['label']),
      )

  batches = torch.utils.data.DataLoader(
    Dataset(),
    _BATCH,
    shuffle=True,
    drop_last=True,
    num_workers=workers,
    persistent_workers=workers > 0,
  )
  while True:
    yield from batches


def contenders(
  source: Source, augment: tuple[str, ...]
) -> dict[str, Callable[[], Iterator[Any]]]:
  """What makes endless batches, by title."""
  scenes = InMemory(source)
  found = {
    'ours': lambda: _ours(source, augment, 0),
    'ours, one worker': lambda: _ours(source, augment, 1),
    'ours, from memory': lambda: _ours(scenes, augment, 0),
  }
  if importlib.util.find_spec('torch'):
    found |= {
      'PyTorch': lambda: _torch(scenes, augment, 0),
      'PyTorch, one worker': lambda: _torch(scenes, augment, 1),
    }
  return found


def _spent() -> float:
  """Processor time of this process and those that it started."""
  ticks = 0
  for child in multiprocessing.active_children():
    stat = pathlib.Path(f'/proc/{child.pid}/stat').read_text()
    ticks += sum(map(int, stat.rpartition(')')[2].split()[11:13]))
  return time.process_time() + ticks / os.sysconf('SC_CLK_TCK')


def _seconds(batches: Iterator[Any], count: int) -> float:
  """Processor time of so many batches."""
  for _ in range(_UNCOUNTED):
    next(batches)
  started = _spent()
  for _ in range(count):
    next(batches)
  return _spent() - started


def main() -> None:
  """Prints a line a contender and augmentation."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--image_size', default='256,512', help='height,width')
  parser.add_argument('--scenes', type=int, default=32, help='drawn once')
  parser.add_argument('--batches', type=int, default=40, help='of a round')
  parser.add_argument('--rounds', type=int, default=3)
  options = parser.parse_args()
  flags.FLAGS.mark_as_parsed()  # As grain's workers want it.
  # PyTorch's worker is a fork, which uses nothing of JAX.
  warnings.filterwarnings('ignore', 'os.fork', RuntimeWarning)
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
      _compare(source, augment, options.batches, options.rounds)


def _compare(
  source: Source, augment: tuple[str, ...], count: int, rounds: int
) -> None:
  """Prints the lines of one augmentation."""
  makes = contenders(source, augment)
  fastest = dict.fromkeys(makes, float('inf'))
  for _ in range(rounds):
    for title, make in makes.items():
      batches = make()
      fastest[title] = min(fastest[title], _seconds(batches, count))
      batches.close()  # pyrefly: ignore[missing-attribute]
  print(f'\n{", ".join(augment) or "as they are"}:')
  images = _BATCH * count
  for title, spent in fastest.items():
    each = 1e3 * spent / images
    print(f'{title:24}{images / spent:8.0f} images/s of a core {each:8.3f} ms')


if __name__ == '__main__':
  main()
