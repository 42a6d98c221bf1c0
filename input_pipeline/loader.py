"""Batches from a source: shuffled and endless, or each scene exactly once.

The order of training is a pure function of (seed, step): scene k of the run
has the k-th place of the shuffled epochs, and its augmentation depends on the
seed and on k. Which process, thread or worker reads it does not matter. So

- the state of an iterator is one number, the next step;
- it can be restored with another number of workers or processes;
- the global batch, the rows of all processes one after the other, is the same
  for every number of processes.

Everything is grain; images and labels stay uint8 until they are on the device.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
from collections.abc import Sequence
from typing import Any, overload

import grain
import numpy as np

from common_lib import interrupts
from common_lib.class_table import VOID
from common_lib.errors import UserError
from input_pipeline import transforms
from input_pipeline.datasets.base import Source

Batch = dict[str, np.ndarray]


class BatchIterator(grain.DatasetIterator[Batch]):
  """Iterates over batches; its whole state is `{'next_step': n}`."""

  def __init__(self, batches: grain.MapDataset, num_workers: int):
    """Opens nothing yet: the first `next` starts threads or workers.

    Args:
      batches: batch k at index k.
      num_workers: processes that read and augment; 0 = threads of this one.
    """
    super().__init__()
    self._batches = batches
    self._num_workers = num_workers
    self._next_step = 0
    self._running: grain.DatasetIterator | None = None

  def __next__(self) -> Batch:
    self._assert_not_closed()
    batch = self._first() if self._running is None else next(self._running)
    self._next_step += 1
    return batch

  def _first(self) -> Batch:
    """The first batch, which starts the workers."""
    alone = contextlib.nullcontext()
    with interrupts.kept_from_children() if self._num_workers else alone:
      self._running = _start(
        self._batches[self._next_step :], self._num_workers
      )
      return next(self._running)

  def get_state(self) -> dict[str, Any]:
    """Returns what `set_state` needs to continue with the next batch."""
    return {'next_step': self._next_step}

  def set_state(self, state: dict[str, Any]) -> None:
    """Continues where another iterator of the same seed and batch size was.

    Args:
      state: of `get_state`; the numbers of workers and of processes may differ.
    """
    self._stop()
    self._next_step = int(state['next_step'])

  def close(self) -> None:
    """Ends threads and workers."""
    self._stop()
    super().close()

  def _stop(self) -> None:
    if self._running is not None:
      self._running.close()
      self._running = None


def train_loader(
  source: Source,
  *,
  batch_size: int,
  seed: int,
  process_index: int = 0,
  process_count: int = 1,
  augment: Sequence[str | transforms.Transform] = (),
  num_workers: int = 0,
  also: Sequence[str] = (),
) -> BatchIterator:
  """Endless shuffled batches of this process.

  Every epoch has a new order and drops its last, incomplete batch; the scenes
  dropped are others in each epoch.

  Args:
    source: the scenes.
    batch_size: of all processes together.
    seed: decides order and augmentation, 0 <= seed < 2**32.
    process_index: this process.
    process_count: how many share each batch.
    augment: names of `transforms.TRANSFORMS` or functions, in order.
    num_workers: processes that read and augment; 0 = threads of this one,
      enough where reading is raw bytes and augmentation is cheap. Workers need
      absl's flags to be parsed.
    also: names of further arrays of a scene, which batches then have too.

  Returns:
    Iterator over {'image': uint8 [b, h, w, 3], 'label': uint8 [b, h, w]} with
    b = batch_size / process_count, and `get_state` / `set_state`.

  Raises:
    UserError: a batch size that the processes cannot share or the source
      cannot fill, an unknown transform, a seed out of range.
  """
  _check(batch_size, process_index, process_count, num_workers)
  if not 0 <= seed < 2**32:
    raise UserError(f'seed is {seed}; give 0 or more, below 2**32')
  changes = transforms.resolve(augment)
  usable = len(source) // batch_size * batch_size
  if usable == 0:
    raise UserError(
      f'batch_size is {batch_size} but there are only {len(source)} training'
      ' images; lower batch_size or add images'
    )
  scenes = grain.MapDataset.source(source).seed(seed)
  wanted = functools.partial(_arrays, names=('image', 'label', *also))
  rows = _ShuffledEpochs(scenes, seed, usable).map(wanted)
  if changes:
    rows = rows.random_map(_Chain(changes))
  local = _LocalRows(rows, batch_size, process_index, process_count)
  batches = local.batch(batch_size // process_count, drop_remainder=True)
  return BatchIterator(batches, num_workers)


def eval_loader(
  source: Source,
  *,
  batch_size: int,
  process_index: int = 0,
  process_count: int = 1,
  num_workers: int = 0,
  also: Sequence[str] = (),
) -> BatchIterator:
  """One pass over the scenes, each exactly once over all processes.

  Every process gets ceil(n / batch_size) batches, so none waits for another
  that has finished. What is missing to full batches is padding: image 0, label
  255, mask False, index -1, sequence 0.

  Args:
    source: the scenes.
    batch_size: of all processes together.
    process_index: this process.
    process_count: how many share each batch.
    num_workers: as in `train_loader`.
    also: as in `train_loader`; zeros in padding.

  Returns:
    Iterator over {'image': uint8 [b, h, w, 3], 'label': uint8 [b, h, w],
    'mask': bool [b], 'index': int32 [b], 'sequence': uint32 [b 2]}; index is
    the place in the source, and images have one `sequence` where that of their
    scenes has one name (or none). Of letterboxed scenes also 'content', int32
    [b, 4]; see `base.Source`.

  Raises:
    UserError: a batch size that the processes cannot share.
  """
  _check(batch_size, process_index, process_count, num_workers)
  rows = grain.MapDataset.source(_PaddedRows(source, batch_size, also))
  local = _LocalRows(rows, batch_size, process_index, process_count)
  batches = local.batch(batch_size // process_count, drop_remainder=True)
  return BatchIterator(batches, num_workers)


def _check(
  batch_size: int, process_index: int, process_count: int, num_workers: int
) -> None:
  if batch_size < 1 or batch_size % process_count:
    raise UserError(
      f'batch_size is {batch_size}; give a positive multiple of the'
      f' {process_count} processes'
    )
  if num_workers < 0:
    raise UserError(f'data.num_workers is {num_workers}; give 0 or more')
  if not 0 <= process_index < process_count:
    raise ValueError(f'process {process_index} of {process_count}')


def _start(
  batches: grain.MapDataset, num_workers: int
) -> grain.DatasetIterator[Batch]:
  """Begins to read ahead, from the first of these batches on."""
  # Each thread makes a whole batch; the buffers count batches. grain's own
  # defaults, 500 of them, would fill the memory.
  threads = 1 if num_workers else min(8, os.cpu_count() or 1)
  dataset = batches.to_iter_dataset(
    grain.ReadOptions(num_threads=threads, prefetch_buffer_size=threads + 1)
  )
  if num_workers:
    dataset = dataset.mp_prefetch(
      grain.MultiprocessingOptions(
        num_workers=num_workers, per_worker_buffer_size=2
      ),
      worker_init_fn=interrupts.end_with_parent,
    )
  return iter(dataset)


def _arrays(
  scene: dict[str, Any], names: Sequence[str] = ('image', 'label')
) -> Batch:
  return {name: scene[name] for name in names}


class _Chain:
  """Transforms one after the other, with one generator."""

  def __init__(self, changes: tuple[transforms.Transform, ...]):
    self._changes = changes

  def __call__(self, element: Batch, generator: np.random.Generator) -> Batch:
    for change in self._changes:
      element = change(element, generator)
    return element


@functools.lru_cache(maxsize=8)
def _permutation(seed: int, epoch: int, count: int) -> np.ndarray:
  """Order of the scenes in one epoch."""
  return np.random.default_rng((seed, epoch)).permutation(count)


class _ShuffledEpochs(grain.MapDataset):
  """Endless epochs, each in its own order and cut to `usable` scenes.

  grain's `shuffle` computes each place by itself, which takes 15 ms a place
  for a handful of scenes; a table of one epoch is small for data on disk.
  """

  def __init__(self, scenes: grain.MapDataset, seed: int, usable: int):
    super().__init__(scenes)
    self._seed = seed
    self._usable = usable

  def __len__(self) -> int:
    return sys.maxsize

  @overload
  def __getitem__(self, index: slice) -> grain.MapDataset: ...

  @overload
  def __getitem__(self, index: int) -> Any: ...

  def __getitem__(self, index):
    if isinstance(index, slice):
      return self.slice(index)
    epoch, place = divmod(index, self._usable)
    order = _permutation(self._seed, epoch, len(self._parent))
    return self._parent[int(order[place])]


class _LocalRows(grain.MapDataset):
  """This process's block of each global batch of rows.

  Blocks, not every n-th row: a batch-sharded global array is the blocks of the
  processes one after the other.
  """

  def __init__(
    self,
    rows: grain.MapDataset,
    batch_size: int,
    process_index: int,
    process_count: int,
  ):
    super().__init__(rows)
    self._batch_size = batch_size
    self._block = batch_size // process_count
    self._first = process_index * self._block

  def __len__(self) -> int:
    return len(self._parent) // self._batch_size * self._block

  def __getitem__(self, index):
    if isinstance(index, slice):
      return self.slice(index)
    batch, row = divmod(index, self._block)
    return self._parent[batch * self._batch_size + self._first + row]


class _PaddedRows:
  """Scenes in order with mask and index, padded to whole batches."""

  def __init__(self, source: Source, batch_size: int, also: Sequence[str]):
    self._source = source
    self._names = ('image', 'label', *also)
    self._length = -(-len(source) // batch_size) * batch_size

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> dict[str, np.ndarray | np.generic]:
    real = index < len(self._source)
    scene = self._source[index if real else 0]
    arrays = _arrays(scene, self._names)
    if not real:
      arrays = {name: np.zeros_like(one) for name, one in arrays.items()}
      arrays['label'] = np.full_like(arrays['label'], VOID)
    sequence = _name_digest(scene.get('sequence', ''))
    if 'content' in scene:
      arrays['content'] = scene['content']
    return {
      **arrays,
      'mask': np.bool_(real),
      'index': np.int32(index if real else -1),
      'sequence': sequence if real else np.zeros_like(sequence),
    }


def _name_digest(name: str) -> np.ndarray:
  """A name as uint32 [2]: arrays alone go through batches and devices."""
  digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
  return np.frombuffer(digest, np.uint32)
