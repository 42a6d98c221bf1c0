"""Finished runs as ONNX files: size, operations, difference to jit, latency.

    taskset -c 0 python -m benchmarks.export_table \
        --workdirs=runs/fcn8,runs/unet,runs/own

One thread each: onnxruntime by its option, jit by `taskset`. Of a run over a
network from elsewhere "run" is that network in onnxruntime and the rest in jit.
The two take turns, image by image, at the run's size; the last column is the
file on a camera's image, resizing included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime

from configs import stored_run
from fsnet_jax.config import resolution, run_paths
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.backends.onnx_file import OnnxBackend
from fsnet_jax.monitor.calibration.digest import current_calibration
from fsnet_jax.monitor.export import from_run, onnx_export

_HEADER = (
  '| run | network | image | MB | operations | difference | run, ms | '
  'file, ms | ratio | file on {height}x{width}, ms |\n'
  '|---|---|---|---|---|---|---|---|---|---|'
)


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--workdirs', required=True, help='several, by commas')
  parser.add_argument('--repeats', type=int, default=15)
  parser.add_argument('--camera', default='720x1280', help='height x width')
  return parser.parse_args()


def _session(path: Path) -> OnnxBackend:
  """The file, run by one thread."""
  options = onnxruntime.SessionOptions()
  options.intra_op_num_threads = 1
  session = onnxruntime.InferenceSession(
    str(path), options, providers=['CPUExecutionProvider']
  )
  return OnnxBackend(session, str(path))


def _medians(calls: list[Callable[[], object]], repeats: int) -> list[float]:
  """Milliseconds of each, all of them in turns."""
  seconds = np.zeros((repeats, len(calls)))
  for call in calls:
    call()
  for row in seconds:
    for index, call in enumerate(calls):
      start = time.perf_counter()
      call()
      row[index] = time.perf_counter() - start
  return [1e3 * float(one) for one in np.median(seconds, axis=0)]


def _row(workdir: Path, camera: tuple[int, int], repeats: int) -> str:
  """A line of the table."""
  config = resolution.resolved(stored_run.get_config(str(workdir))).unlock()
  config.eval.batch_size = 1
  config = run_paths.located(config.lock(), workdir)
  found = current_calibration(workdir)
  detector = config.calibrate.detector if found is None else found.detector
  backend = CheckpointBackend(config, workdir, detector, found)
  images = from_run.sample_images(config)
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'monitor.onnx')
    written = onnx_export.export(backend, images, path, workdir.name)
    session = _session(path)
  image = images[:1]
  rng = np.random.default_rng(0)
  large = rng.integers(0, 256, (1, *camera, 3)).astype(np.uint8)
  run, file, resized = _medians(
    [
      lambda: backend(image),
      lambda: session(image),
      lambda: session(large),
    ],
    repeats,
  )
  height, width = backend.image_size
  return (
    f'| {workdir.name} | {config.segmentation.name} | {height}x{width} | '
    f'{written.size_bytes / 1e6:.1f} | {written.operations} | '
    f'{written.difference:.0e} | {run:.1f} | {file:.1f} | {file / run:.2f} | '
    f'{resized:.1f} |'
  )


def main() -> None:
  """Prints the table."""
  options = _arguments()
  height, width = map(int, options.camera.split('x'))
  print(_HEADER.format(height=height, width=width))
  for workdir in options.workdirs.split(','):
    print(_row(Path(workdir), (height, width), options.repeats), flush=True)


if __name__ == '__main__':
  main()
