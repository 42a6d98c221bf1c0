"""`--mode=predict` over many images: its rate, and whether memory grows.

    python -m benchmarks.monitor.predict_rate --workdir=runs/fsnet_fcn8 \
        --images=2000

Draws streets at the network's size (the same hundred under other names, for
drawing takes longer than predicting), runs the command over them in a process
of its own, and reads off that process's resident memory as its rows appear.
The bare forward pass is the run's monitor on batches that lie in memory, with
nothing read or written, before the command and after it. By the wall clock:
the command has threads.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

import street_scenes
from fsnet_jax.monitor import Monitor

_DRAWN = 100
_BATCHES = 40
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--images', type=int, default=2000)
  return parser.parse_args()


def _draw(folder: pathlib.Path, size: tuple[int, int], count: int) -> list:
  """Writes `count` PNG files; returns the images that differ."""
  images = [
    street_scenes.draw('day', 'test', index, size).image
    for index in range(min(_DRAWN, count))
  ]
  for index in range(count):
    file = folder / f'{index:06d}.png'
    Image.fromarray(images[index % len(images)]).save(file)
  return images


def _bare_rate(monitor: Monitor, images: list, batch_size: int) -> float:
  """Images a second of the networks alone."""
  batch = np.stack([images[i % len(images)] for i in range(batch_size)])
  monitor(batch)
  started = time.perf_counter()
  for _ in range(_BATCHES):
    monitor(batch)
  return _BATCHES * batch_size / (time.perf_counter() - started)


def _resident_mib(process: subprocess.Popen) -> float:
  pages = pathlib.Path(f'/proc/{process.pid}/statm').read_text().split()[1]
  return int(pages) * os.sysconf('SC_PAGE_SIZE') / 2**20


def _rows(output: pathlib.Path) -> int:
  """How many images are done."""
  file = output / 'state' / 'journal.jsonl'
  return file.read_bytes().count(b'\n') if file.exists() else 0


def _watched(
  argv: list[str], output: pathlib.Path
) -> list[tuple[float, int, float]]:
  """(seconds, rows, MiB) four times a second while a command runs.

  Raises:
    CalledProcessError: the command failed.
  """
  seen = []
  started = time.perf_counter()
  with subprocess.Popen(argv, cwd=_ROOT, stderr=subprocess.DEVNULL) as process:
    while process.poll() is None:
      now = time.perf_counter() - started
      seen.append((now, _rows(output), _resident_mib(process)))
      time.sleep(0.25)
  if process.returncode:
    raise subprocess.CalledProcessError(process.returncode, argv)
  return seen


def main() -> None:
  """Prints the rate and the memory."""
  options = _arguments()
  monitor = Monitor.load(options.workdir)
  workdir = pathlib.Path(options.workdir).resolve()
  config = json.loads((workdir / 'config.json').read_text())
  height, width = config['image_size']
  at_once = config['eval']['batch_size']
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    frames, output = folder / 'frames', folder / 'out'
    frames.mkdir()
    images = _draw(frames, (height, width), options.images)
    bare = [_bare_rate(monitor, images, at_once)]
    argv = [sys.executable, 'main.py', f'--workdir={workdir}']
    argv += ['--mode=predict', f'--input={frames}', f'--output={output}']
    seen = _watched(argv, output)
    bare.append(_bare_rate(monitor, images, at_once))
  print(
    f'{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, '
    f'load {os.getloadavg()[0]:.1f}'
  )
  moving = [one for one in seen if 0 < one[1] < options.images]
  (first, rows, _), (last, more, _) = moving[0], moving[-1]
  rate = (more - rows) / (last - first)
  print(
    f'{options.images} images in {seen[-1][0]:.1f} s; once begun '
    f'{rate:.1f} images/s, bare forward pass {max(bare):.1f}: '
    f'{rate / max(bare):.2f}'
  )
  for share in (0.1, 0.25, 0.5, 0.75, 1.0):
    mib = next((m for _, n, m in moving if n >= share * more), None)
    print(f'resident after {share:.0%} of the images: {mib:.0f} MiB')
  print(f'at most: {max(mib for _, _, mib in seen):.0f} MiB')


if __name__ == '__main__':
  main()
