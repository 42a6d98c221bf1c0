"""Monitors as ONNX files: size, operations, difference to jit, latency.

    taskset -c 0 python -m benchmarks.monitor.export_table --workdirs=runs/own

Networks of this package have random weights here, whose values change neither
size nor latency: S at `--width`, and the joint phase's F. Of a finished run all
is in the file that `--mode=export` writes; over a network from elsewhere "run"
is that network in onnxruntime and the rest in jit.

One thread each: onnxruntime by its option, jit by `taskset`. The two take
turns, image by image, at the run's size; the last column is the file on a
camera's image, resizing included.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from benchmarks.subjects.random_monitor import RandomMonitor
from configs import stored_run
from fsnet_jax.config import resolution, run_paths
from fsnet_jax.models.failure.failure_net import FailureNet
from fsnet_jax.models.segmentation.deeplab_v2 import DeepLabV2
from fsnet_jax.models.segmentation.efficientnet_unet import EfficientNetUNet
from fsnet_jax.models.segmentation.fcn8 import FCN8
from fsnet_jax.models.segmentation.unet import UNet
from fsnet_jax.monitor.backends.checkpoint import CheckpointBackend
from fsnet_jax.monitor.backends.onnx_file import OnnxBackend
from fsnet_jax.monitor.calibration.digest import current_calibration
from fsnet_jax.monitor.export import from_run, onnx_export

NETWORKS: Mapping[str, Callable[[float], Any]] = {
  'FCN8': lambda width: FCN8(width=width, padding='same'),
  'DeepLabV2': lambda width: DeepLabV2(width=width, blocks=(2, 2, 2, 2)),
  'U-Net': lambda width: UNet(width=width),
  'EfficientNet U-Net': lambda width: EfficientNetUNet(width=width),
}
_HEADER = (
  '| network | image | MB | operations | difference | run, ms | file, ms | '
  'ratio | file on {camera}, ms |\n|---|---|---|---|---|---|---|---|---|'
)


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--networks', default=','.join(NETWORKS))
  parser.add_argument('--workdirs', default='', help='of runs, by commas')
  parser.add_argument('--width', type=float, default=0.125)
  parser.add_argument('--image_size', default='64x128')
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


def _run(workdir: Path) -> tuple[CheckpointBackend, np.ndarray, str]:
  """A finished run, images of it, and the name of its network."""
  config = resolution.resolved(stored_run.get_config(str(workdir))).unlock()
  config.eval.batch_size = 1
  # Threads of its own would wait at work while the file runs.
  config.segmentation.threads = 1
  config = run_paths.located(config.lock(), workdir)
  found = current_calibration(workdir)
  detector = config.calibrate.detector if found is None else found.detector
  backend = CheckpointBackend(config, workdir, detector, found)
  return backend, from_run.sample_images(config), f'`{workdir}`'


def _row(
  backend: Any,
  images: np.ndarray,
  name: str,
  camera: tuple[int, int],
  repeats: int,
) -> str:
  """A line of the table."""
  with tempfile.TemporaryDirectory() as folder:
    path = Path(folder, 'monitor.onnx')
    written = onnx_export.export(backend, images, path, name)
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
    f'| {name} | {height}x{width} | {written.size_bytes / 1e6:.1f} | '
    f'{written.operations} | {written.difference:.0e} | {run:.1f} | '
    f'{file:.1f} | {file / run:.2f} | {resized:.1f} |'
  )


def _size(text: str) -> tuple[int, int]:
  """Height and width of HxW."""
  height, width = map(int, text.split('x'))
  return height, width


def main() -> None:
  """Prints the table."""
  options = _arguments()
  camera, size = _size(options.camera), _size(options.image_size)
  print(_HEADER.format(camera=options.camera))
  rng = np.random.default_rng(0)
  noise = rng.integers(0, 256, (3, *size, 3)).astype(np.uint8)
  for name in filter(None, options.networks.split(',')):
    backend = RandomMonitor(NETWORKS[name](options.width), FailureNet(), size)
    print(_row(backend, noise, name, camera, options.repeats), flush=True)
  for workdir in filter(None, options.workdirs.split(',')):
    print(_row(*_run(Path(workdir)), camera, options.repeats), flush=True)


if __name__ == '__main__':
  main()
