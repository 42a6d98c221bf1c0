"""Latency of monitors on this device, from uint8 images to maps on the host.

    python -m benchmarks.gpu.latency --json=latency.json

FCN8 alone, with the joint phase's F and with the light one, for one image and
for eight, as jit and in PyTorch (eager, channels_last; bfloat16 is its
automatic mixed precision). Weights are random. Wall time, in turns; the median
and the fastest call, and the peak of the device's memory of all of ours.
"""

from __future__ import annotations

import argparse
import functools
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.subjects import monitor_forms, random_variables, steppers
from benchmarks.subjects.random_monitor import monitored

Call = Callable[[np.ndarray], object]


def own_calls(
  width: float, size: tuple[int, int], batches: list[int], dtypes: list[str]
) -> dict[tuple[str, str, int], Call]:
  """Compiled monitors, by (form, dtype, batch)."""
  key, image = jax.random.key(0), jnp.zeros((1, *size, 3))
  network, _ = monitor_forms.networks(width)
  # The same of every type: parameters are float32.
  shapes = jax.eval_shape(network.init, key, image)
  said = jax.eval_shape(network.apply, shapes, image)
  s = jax.device_put(random_variables.draw(shapes))
  lowered, given = {}, {}
  for dtype in dtypes:
    network, forms = monitor_forms.networks(width, jnp.dtype(dtype))
    for form, failure in forms.items():
      f = None
      if failure is not None:
        seen = (image, said.logits, said.features)
        f = random_variables.draw(jax.eval_shape(failure.init, key, *seen))
      variables = s, jax.device_put(f)
      function = jax.jit(functools.partial(monitored, network, failure))
      for batch in batches:
        images = jax.ShapeDtypeStruct((batch, *size, 3), jnp.uint8)
        lowered[form, dtype, batch] = function.lower(*variables, images)
        given[form, dtype, batch] = variables
  with ThreadPoolExecutor() as pool:
    compiled = list(pool.map(lambda one: one.compile(), lowered.values()))

  def call(run: Any, variables: Any, images: np.ndarray) -> object:
    return jax.device_get(run(*variables, images))

  return {
    name: functools.partial(call, run, given[name])
    for name, run in zip(lowered, compiled)
  }


def peer_calls(width: float, dtypes: list[str]) -> dict[tuple[str, str], Call]:
  """PyTorch's, by (form, dtype), for any batch."""
  import torch

  from benchmarks.peers import torch_monitor

  torch.backends.cuda.matmul.allow_tf32 = True
  torch.backends.cudnn.allow_tf32 = True
  torch.backends.cudnn.benchmark = True
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  return {
    (form, dtype): torch_monitor.call(
      width, blocks, device, dtype == 'bfloat16'
    )
    for form, blocks in monitor_forms.BLOCKS.items()
    for dtype in dtypes
  }


def _measured(
  calls: dict[str, Call], images: np.ndarray, repeats: int
) -> dict[str, list[float]]:
  """Milliseconds of each, all of them in turns, after two calls unmeasured."""
  found: dict[str, list[float]] = {name: [] for name in calls}
  for turn in range(repeats + 2):
    for name, call in calls.items():
      started = time.perf_counter()
      call(images)
      if turn >= 2:
        found[name].append(1e3 * (time.perf_counter() - started))
  return found


def measure(
  width: float,
  size: tuple[int, int],
  batches: list[int],
  dtypes: list[str],
  repeats: int,
) -> list[dict[str, Any]]:
  """All rows of the table."""
  own = own_calls(width, size, batches, dtypes)
  peers, rows = {}, []
  # Whatever is wrong with a peer is a row of the table.
  try:
    peers = peer_calls(width, dtypes)
  except Exception as error:
    said = str(error).strip().splitlines() or ['']
    rows.append({'contender': 'torch', 'failed': said[0][:200]})
  for (form, dtype, batch), run in own.items():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (batch, *size, 3)).astype(np.uint8)
    calls = {'jax': run}
    if (form, dtype) in peers:
      calls['torch-channels_last'] = peers[form, dtype]
    for name, times in _measured(calls, images, repeats).items():
      rows.append(
        {
          'monitor': form,
          'dtype': dtype,
          'batch': batch,
          'contender': name,
          'median_ms': statistics.median(times),
          'fastest_ms': min(times),
          'images_per_s': 1e3 * batch / statistics.median(times),
        }
      )
  return rows


def main() -> None:
  """Prints a line a row, and writes them."""
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--image_size', default='256,512', help='height,width')
  parser.add_argument('--width', type=float, default=1.0, help='of S and F')
  parser.add_argument('--batches', default='1,8', help='numbers of images')
  parser.add_argument('--dtypes', default='float32,bfloat16')
  parser.add_argument('--repeats', type=int, default=50)
  parser.add_argument('--json', default='', help='file for the rows')
  options = parser.parse_args()
  height, width = map(int, options.image_size.split(','))
  batches = list(map(int, options.batches.split(',')))
  dtypes = options.dtypes.split(',')
  rows = measure(
    options.width, (height, width), batches, dtypes, options.repeats
  )
  gib = steppers.gib('jax')
  print(f'{jax.devices()[0]}, FCN8 {options.width:g} at {height}x{width}')
  for row in rows:
    if 'failed' in row:
      print(f'{row["contender"]}: {row["failed"]}')
      continue
    print(
      f'{row["monitor"]:12}{row["dtype"]:9}{row["batch"]:3}'
      f' {row["contender"]:20}{row["median_ms"]:9.2f}{row["fastest_ms"]:9.2f}'
    )
  if options.json:
    about = {'width': options.width, 'image_size': (height, width), 'gib': gib}
    Path(options.json).write_text(json.dumps({**about, 'rows': rows}, indent=1))


if __name__ == '__main__':
  steppers.share_the_device()
  main()
