"""The fleet pipeline against a bare loop over the same images.

    .venv-fleet/bin/python -m benchmarks.monitor.fleet_rate \
        --monitor=monitor.onnx --input='frames/**.png' --workers=2

The loop reads each image and asks the monitor, in one process, and writes
nothing; the pipeline leaves all that it leaves. Both in turns, by the wall
clock, for workers are processes.
"""

from __future__ import annotations

import argparse
import glob
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

from fsnet_jax.monitor import Monitor
from fsnet_jax.monitor.predict import inputs


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--monitor', required=True)
  parser.add_argument('--input', required=True)
  parser.add_argument('--workers', type=int, default=2)
  parser.add_argument('--rounds', type=int, default=1)
  return parser.parse_args()


def _loop(monitor: str, paths: list[str]) -> float:
  """Seconds of a process that opens the monitor and looks at all images."""
  start = time.perf_counter()
  opened = Monitor.load(monitor)
  for path in paths:
    opened(inputs.read_image(pathlib.Path(path))[None])
  return time.perf_counter() - start


def _pipeline(options: argparse.Namespace) -> float:
  """Seconds of the command."""
  start = time.perf_counter()
  with tempfile.TemporaryDirectory() as folder:
    argv = [sys.executable, '-m', 'fsnet_jax.monitor.fleet']
    argv += [f'--monitor={options.monitor}', f'--input={options.input}']
    argv += [f'--output={folder}', '--runner=DirectRunner']
    argv += [f'--direct_num_workers={options.workers}']
    argv += ['--direct_running_mode=multi_processing']
    subprocess.run(argv, check=True)
  return time.perf_counter() - start


def main() -> None:
  """Prints the rates."""
  options = _arguments()
  paths = sorted(glob.glob(options.input, recursive=True))
  loops, pipelines = [], []
  for _ in range(options.rounds):
    loops.append(_loop(options.monitor, paths))
    pipelines.append(_pipeline(options))
  loop, pipeline = min(loops), min(pipelines)
  machine = platform.processor() or platform.machine()
  print(f'{machine}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}')
  print(
    f'{len(paths)} images: bare loop {len(paths) / loop:.1f} images/s, '
    f'pipeline with {options.workers} workers {len(paths) / pipeline:.1f} '
    f'images/s, ratio {loop / pipeline:.2f}'
  )


if __name__ == '__main__':
  main()
