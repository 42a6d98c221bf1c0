"""Images of a pool in batches, read ahead: memory does not grow with it."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from fsnet_jax.runtime.distributed import exchanged
from input_pipeline.sources import Source

View = Callable[[Mapping[str, Any]], dict[str, np.ndarray]]
_AHEAD = 2
_THREADS = 4


def stream(
  source: Source, indices: Sequence[int], batch_size: int, view: View
) -> Iterator[dict[str, np.ndarray]]:
  """One pass over some images of a source, in their order.

  Every process gets the same number of batches, and its own block of each
  (as `input_pipeline.loader` shares them out). What is missing to a full
  batch repeats the first image, with mask False.

  Args:
    source: the pool.
    indices: of the images.
    batch_size: of all processes together, a multiple of their number.
    view: scene -> arrays to stack into the batch; called in threads.

  Yields:
    The arrays of `view`, and 'mask' bool [b], 'index' int64 [b].
  """
  local = batch_size // jax.process_count()
  first = jax.process_index() * local
  blocks = [
    indices[start + first : start + first + local]
    for start in range(0, len(indices), batch_size)
  ]

  def load(block):
    missing = local - len(block)
    rows = list(block) + [indices[0]] * missing
    views = [view(source[index]) for index in block]
    if missing:
      views += [view(source[indices[0]])] * missing
    batch = {
      name: np.stack([arrays[name] for arrays in views]) for name in views[0]
    }
    batch['mask'] = np.arange(local) < len(block)
    batch['index'] = np.array(rows, np.int64)
    return batch

  waiting: collections.deque = collections.deque()
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    try:
      for block in blocks:
        waiting.append(pool.submit(load, block))
        if len(waiting) > _AHEAD:
          yield waiting.popleft().result()
      while waiting:
        yield waiting.popleft().result()
    finally:
      pool.shutdown(wait=False, cancel_futures=True)


def scene_texts(source: Source, field: str) -> list[str]:
  """A text of each scene of a source, of which every process reads its part.

  A collective.

  Args:
    source: the pool.
    field: of a scene: `id` or `sequence`.
  """
  index, count = jax.process_index(), jax.process_count()
  own = [
    str(source[number][field]) for number in range(index, len(source), count)
  ]
  found = [''] * len(source)
  for number, part in enumerate(exchanged(own)):
    found[number::count] = part
  return found


def gathered(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
  """The rows of all processes, in the order of the stream.

  Args:
    values: this process's rows of all batches, [batches, local, ...].

  Returns:
    [batches * batch_size, ...], equal on every process.
  """
  if jax.process_count() > 1:
    from jax.experimental import multihost_utils

    values = multihost_utils.process_allgather(values)
    # [processes, batches, local, ...] -> batches first.
    values = {name: np.moveaxis(rows, 0, 1) for name, rows in values.items()}
    return {
      name: rows.reshape(-1, *rows.shape[3:]) for name, rows in values.items()
    }
  return {
    name: rows.reshape(-1, *rows.shape[2:]) for name, rows in values.items()
  }
