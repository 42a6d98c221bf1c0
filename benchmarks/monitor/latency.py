"""What a monitor costs beside its segmentation network, one thread each.

    taskset -c 0 python -m benchmarks.monitor.latency
    taskset -c 0 python -m benchmarks.monitor.latency --batch_size=8

S alone and S with F (the joint phase's, of as many blocks as is the default
and of as many as the paper's; or `light`, the pixel networks of phase 3), as
jit, in onnxruntime, in TFLite and in PyTorch (eager, channels_last; not
`light`). TensorFlow's converter needs more than 24 GB of memory at full width:
leave it out there (`--without=tflite`) or take `--width=0.5`.
Weights are random. Processor time, in turns, so that a machine that is shared
changes no ratio. "operations" are those of the program as it is written, of
S's own: what F would cost if all of them took the same time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from benchmarks.peers import torch_monitor
from benchmarks.subjects import monitor_forms
from benchmarks.subjects.random_monitor import RandomMonitor
from benchmarks.train_step import machine
from fsnet_jax.monitor.backends.tflite_file import TfliteBackend
from fsnet_jax.monitor.export import onnx_export, tflite_export
from fsnet_jax.runtime.machine.huge_pages import restart_with_huge_pages

Call = Callable[[np.ndarray], object]


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--image_size', default='256,512', help='height,width')
  parser.add_argument('--batch_size', type=int, default=1)
  parser.add_argument('--width', type=float, default=1.0, help='of both')
  parser.add_argument('--repeats', type=int, default=9)
  parser.add_argument('--clock', default='cpu', choices=('cpu', 'wall'))
  parser.add_argument('--without', default='', help='of tflite, torch')
  return parser.parse_args()


def _in_onnxruntime(monitor: Any, images: np.ndarray) -> Call:
  """The exported file, by one thread."""
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'monitor.onnx')
    onnx_export.export(monitor, images[:1], path, 'random')
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
      str(path), options, providers=['CPUExecutionProvider']
    )
  return lambda batch: session.run(None, {'images': batch})


def _in_tflite(monitor: Any, images: np.ndarray) -> Call:
  """The exported file, which takes one image at a time."""
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'monitor.tflite')
    tflite_export.export(monitor, images[:1], path, 'random')
    return TfliteBackend.open(path)


def _in_torch(form: str, width: float) -> Call:
  """The same networks, by one thread."""
  torch.set_num_threads(1)
  return torch_monitor.call(width, monitor_forms.BLOCKS[form])


def _measured(
  calls: dict[str, Call], batch: np.ndarray, repeats: int, clock: str
) -> dict[str, list[float]]:
  """Milliseconds of each, all of them in turns."""
  now = time.process_time if clock == 'cpu' else time.perf_counter
  found: dict[str, list[float]] = {name: [] for name in calls}
  for call in calls.values():
    call(batch)
  for _ in range(repeats):
    for name, call in calls.items():
      start = now()
      call(batch)
      found[name].append(1e3 * (now() - start))
  return found


def main() -> None:
  """Prints the table."""
  options = _arguments()
  left_out = set(filter(None, options.without.split(',')))
  height, width = map(int, options.image_size.split(','))
  rng = np.random.default_rng(0)
  shape = (options.batch_size, height, width, 3)
  batch = rng.integers(0, 256, shape).astype(np.uint8)
  s, forms = monitor_forms.networks(options.width)
  calls: dict[str, Call] = {}
  operations: dict[str, float] = {}
  for form, failure in forms.items():
    monitor = RandomMonitor(s, failure, (height, width))
    calls[f'jit: {form}'] = monitor.networks
    calls[f'onnxruntime: {form}'] = _in_onnxruntime(monitor, batch)
    if 'tflite' not in left_out and options.batch_size == 1:
      calls[f'tflite: {form}'] = _in_tflite(monitor, batch)
    operations[form] = monitor.operations
    if 'torch' not in left_out and form in monitor_forms.BLOCKS:
      calls[f'PyTorch: {form}'] = _in_torch(form, options.width)
  found = _measured(calls, batch, options.repeats, options.clock)
  print(f'{machine()}, pid {os.getpid()}, {options.clock} clock')
  print(f'FCN8 {options.width:g} at {height}x{width}, batch {len(batch)}')
  # Ratios are of the fastest: whatever else a machine does only adds.
  fastest = {name: min(own) for name, own in found.items()}
  heads = f'{"median":>9}{"fastest":>9}{"of its S":>10}{"operations":>12}'
  print(f'{"":32}{heads}{"of PyTorch":>12}')
  for name, own in fastest.items():
    kind, _, form = name.partition(': ')
    alone = own / fastest[f'{kind}: S']
    peer = fastest.get(f'PyTorch: {form}')
    beside = f'{own / peer:12.2f}' if peer else f'{"-":>12}'
    median = statistics.median(found[name])
    share = operations[form] / operations['S']
    print(f'{name:32}{median:9.1f}{own:9.1f}{alone:10.2f}{share:12.2f}{beside}')


if __name__ == '__main__':
  restart_with_huge_pages()
  main()
