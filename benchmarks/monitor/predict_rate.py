"""`--mode=predict` over many images: its rate, and whether memory grows.

    python -m benchmarks.monitor.predict_rate --workdir=runs/fsnet_fcn8 \
        --images=2000 [--video] [--times=4]

Draws streets at the network's size, or so many times its height and width (the
same hundred under other names, for drawing takes longer than predicting), as
PNG files or as one mp4; runs the command over them in a process of its own, and
reads off that process's resident memory as its rows appear. The bare forward
pass is the run's monitor on batches that lie in memory, with nothing read or
written, before the command and after it; of larger images it has their resizing
in it, there and back. By the wall clock, since the command has threads, and by
the processor time that both take, which other work on the machine does not
change.
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
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

import street_scenes
from fsnet_jax.monitor import Monitor

_DRAWN = 100
_BATCHES = 40
_FPS = 25.0
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def _arguments() -> argparse.Namespace:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--workdir', required=True)
  parser.add_argument('--images', type=int, default=2000)
  parser.add_argument('--video', action='store_true')
  parser.add_argument('--times', type=int, default=1)
  return parser.parse_args()


def _drawn(size: tuple[int, int], count: int) -> list[np.ndarray]:
  """The images that differ, uint8 [h w 3]."""
  return [
    street_scenes.draw('day', 'test', index, size).image
    for index in range(min(_DRAWN, count))
  ]


def _write_files(
  folder: pathlib.Path, images: list[np.ndarray], count: int
) -> pathlib.Path:
  """Writes `count` PNG files; returns their folder."""
  frames = folder / 'frames'
  frames.mkdir()
  for index in range(count):
    file = frames / f'{index:06d}.png'
    Image.fromarray(images[index % len(images)]).save(file)
  return frames


def _write_video(
  folder: pathlib.Path, images: list[np.ndarray], count: int
) -> pathlib.Path:
  """Writes a video of `count` frames; returns its file.

  Raises:
    RuntimeError: OpenCV has no encoder for it.
  """
  path = folder / 'drive.mp4'
  height, width = images[0].shape[:2]
  code = cv2.VideoWriter.fourcc(*'mp4v')
  writer = cv2.VideoWriter(str(path), code, _FPS, (width, height))
  if not writer.isOpened():
    raise RuntimeError('OpenCV has no encoder for mp4')
  for index in range(count):
    frame = images[index % len(images)]
    writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
  writer.release()
  return path


def _bare_rates(
  monitor: Monitor, images: list[np.ndarray], batch_size: int
) -> tuple[float, float]:
  """Images of the networks alone a second, and a second of processor time."""
  batch = np.stack([images[i % len(images)] for i in range(batch_size)])
  monitor(batch)
  started, used = time.perf_counter(), time.process_time()
  for _ in range(_BATCHES):
    monitor(batch)
  count = _BATCHES * batch_size
  return (
    count / (time.perf_counter() - started),
    count / (time.process_time() - used),
  )


class _Seen(NamedTuple):
  """A look at the command: seconds, images done, MiB, processor seconds."""

  at: float
  rows: int
  mib: float
  used: float


def _resident_mib(process: subprocess.Popen) -> float:
  pages = pathlib.Path(f'/proc/{process.pid}/statm').read_text().split()[1]
  return int(pages) * os.sysconf('SC_PAGE_SIZE') / 2**20


def _used(process: subprocess.Popen) -> float:
  """Processor time of all of its threads, seconds."""
  text = pathlib.Path(f'/proc/{process.pid}/stat').read_text()
  # The name, in brackets, may have blanks.
  fields = text.rpartition(')')[2].split()
  return sum(map(int, fields[11:13])) / os.sysconf('SC_CLK_TCK')


def _rows(output: pathlib.Path) -> int:
  """How many images are done."""
  file = output / 'state' / 'journal.jsonl'
  return file.read_bytes().count(b'\n') if file.exists() else 0


def _watched(argv: list[str], output: pathlib.Path) -> list[_Seen]:
  """Looks at a command four times a second while it runs.

  Raises:
    CalledProcessError: the command failed.
  """
  seen = []
  started = time.perf_counter()
  with subprocess.Popen(argv, cwd=_ROOT, stderr=subprocess.DEVNULL) as process:
    while process.poll() is None:
      now = time.perf_counter() - started
      mib, used = _resident_mib(process), _used(process)
      seen.append(_Seen(now, _rows(output), mib, used))
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
  height, width = (options.times * side for side in config['image_size'])
  at_once = config['eval']['batch_size']
  images = _drawn((height, width), options.images)
  write = _write_video if options.video else _write_files
  with tempfile.TemporaryDirectory() as temporary:
    folder = pathlib.Path(temporary)
    source, output = write(folder, images, options.images), folder / 'out'
    bare = [_bare_rates(monitor, images, at_once)]
    argv = [sys.executable, 'main.py', f'--workdir={workdir}']
    argv += ['--mode=predict', f'--input={source}', f'--output={output}']
    seen = _watched(argv, output)
    bare.append(_bare_rates(monitor, images, at_once))
  print(
    f'{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, '
    f'load {os.getloadavg()[0]:.1f}'
  )
  moving = [one for one in seen if 0 < one.rows < options.images]
  first, last = moving[0], moving[-1]
  done = last.rows - first.rows
  rate, thrift = done / (last.at - first.at), done / (last.used - first.used)
  wall, processor = map(max, zip(*bare))
  kind = 'frames' if options.video else 'images'
  print(
    f'{options.images} {kind} of {height}x{width} in {seen[-1].at:.1f} s; once '
    f'begun {rate:.1f} {kind}/s, bare forward pass {wall:.1f}: '
    f'{rate / wall:.2f}'
  )
  print(
    f'a second of processor time: {thrift:.1f} {kind}, bare forward pass '
    f'{processor:.1f}: {thrift / processor:.2f}'
  )
  for share in (0.1, 0.25, 0.5, 0.75, 1.0):
    mib = next((o.mib for o in moving if o.rows >= share * last.rows), None)
    print(f'resident after {share:.0%} of the {kind}: {mib:.0f} MiB')
  # What is left then: tables, gallery and, of a video, the annotated one.
  after = [one.mib for one in seen if one.rows >= options.images and one.mib]
  print(f'while finishing: at most {max(after, default=0):.0f} MiB')
  print(f'at most: {max(one.mib for one in seen):.0f} MiB')


if __name__ == '__main__':
  main()
