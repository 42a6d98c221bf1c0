"""How long a user waits for the first image of a command.

    taskset -c 0 python -m benchmarks.command_start
    taskset -c 0 python -m benchmarks.command_start --commands=evaluate,predict

Commands of the demo (`configs/fsnet_fcn8.py`), each in a process of its own:
`--help`; training until the first step is taken; `--mode=evaluate` and
`--mode=predict` of a finished run until the first batch is evaluated and the
first image has its entry. `first`: nothing is prepared or compiled, a user's
first command ever; `cold`: data are prepared, nothing is compiled; `warm`:
programs are in the compilation cache, as for every later command.

Printed is the repeat of the least processor time (of all threads; other work on
the machine changes it less than wall time), and what that went to: see
`benchmarks.subjects.first_image`. The finished run is one of a few steps of
each phase, for the programs of a run are the same however long it was.
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import cv2

import street_scenes
from benchmarks.subjects.first_image import KINDS, STARTED
from benchmarks.train_step import machine

_ROOT = pathlib.Path(__file__).resolve().parents[1]
_CONFIG = '--config=configs/fsnet_fcn8.py'
_FEW = ('phase1_steps', 'phase2_steps', 'phase3_steps')
_SIZE, _IMAGES = (64, 128), 16
_STATES = {
  'help': ('',),
  'train': ('first', 'cold', 'warm'),
  'evaluate': ('cold', 'warm'),
  'predict': ('cold', 'warm'),
}


class _Commands:
  """Runs them, each with the caches that its state has."""

  def __init__(self, folder: pathlib.Path):
    self._folder = folder
    self._count = 0
    self._run: pathlib.Path | None = None

  def timed(self, name: str, state: str) -> dict[str, float]:
    """Seconds of one command: `wall`, `cpu`, and by kind."""
    environment = self._environment(state)
    if name == 'help':
      return _help(environment)
    arguments = self._arguments(name)
    if state == 'warm':  # The first of them fills the cache.
      marker = self._folder / f'{name}.warm'
      if not marker.exists():
        _first_image(arguments, environment)
        marker.touch()
        arguments = self._arguments(name)
    return _first_image(arguments, environment)

  def _environment(self, state: str) -> dict[str, str]:
    self._count += 1
    data, cache = self._folder / 'data', self._folder / 'warm'
    if state != 'warm':
      cache = self._folder / f'cache{self._count}'
    if state == 'first':
      data = self._folder / f'data{self._count}'
    return {
      **os.environ,
      'TFDS_DATA_DIR': str(data),
      'XDG_CACHE_HOME': str(cache),
    }

  def _arguments(self, name: str) -> list[str]:
    new = self._folder / f'{name}{self._count}'
    if name == 'train':
      shutil.rmtree(new, ignore_errors=True)
      return ['STEP', 'main.py', _CONFIG, f'--workdir={new}']
    run = f'--workdir={self._finished()}'
    if name == 'evaluate':
      return ['BATCH', 'main.py', run, '--mode=evaluate']
    shutil.rmtree(new, ignore_errors=True)
    files = [f'--input={_drawn(self._folder / "images")}', f'--output={new}']
    return ['ENTRY', 'main.py', run, '--mode=predict', *files]

  def _finished(self) -> pathlib.Path:
    """The folder of a finished run, trained when it is first needed."""
    if self._run is None:
      self._run = self._folder / 'run'
      print('training a run of a few steps ...', flush=True)
      few = [f'--config.{field}=2' for field in _FEW]
      command = [sys.executable, 'main.py', _CONFIG, *few]
      subprocess.run(
        [*command, f'--workdir={self._run}'],
        cwd=_ROOT,
        env=self._environment('warm'),
        check=True,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
      )
    return self._run


def _first_image(
  arguments: Sequence[str], environment: dict[str, str]
) -> dict[str, float]:
  """What a command says of itself."""
  done = subprocess.run(
    [sys.executable, '-m', 'benchmarks.subjects.first_image', *arguments],
    cwd=_ROOT,
    env=environment | {STARTED: str(time.time())},
    capture_output=True,
    text=True,
    check=False,
  )
  if done.returncode:
    sys.exit(
      f'{" ".join(arguments)} ended with {done.returncode}:\n{done.stderr}'
    )
  return json.loads(done.stdout.splitlines()[-1])


def _help(environment: dict[str, str]) -> dict[str, float]:
  started = time.perf_counter()
  process = subprocess.Popen(
    [sys.executable, 'main.py', _CONFIG, '--help'],
    cwd=_ROOT,
    env=environment,
    stdout=subprocess.DEVNULL,
  )
  _, _, used = os.wait4(process.pid, 0)
  process.returncode = 0  # It has been waited for.
  return {
    'wall': time.perf_counter() - started,
    'cpu': used.ru_utime + used.ru_stime,
  }


def _drawn(folder: pathlib.Path) -> pathlib.Path:
  """A folder of drawn images."""
  if not folder.exists():
    folder.mkdir()
    for index in range(_IMAGES):
      scene = street_scenes.draw('day', 'test', index, _SIZE)
      cv2.imwrite(str(folder / f'{index}.png'), scene.image[..., ::-1])
  return folder


def _line(cells: Sequence[Any]) -> str:
  return f'| {" | ".join(map(str, cells))} |'


def main() -> None:
  parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawTextHelpFormatter
  )
  parser.add_argument('--commands', default=','.join(_STATES))
  parser.add_argument('--states', default='first,cold,warm')
  parser.add_argument('--repeats', type=int, default=3)
  options = parser.parse_args()
  print(machine())
  print(_line(['command', 'cache', 'cpu s', 'wall s', *KINDS]))
  print(_line(['---'] * (4 + len(KINDS))))
  with tempfile.TemporaryDirectory() as folder:
    commands = _Commands(pathlib.Path(folder))
    for name in options.commands.split(','):
      for state in _STATES[name]:
        if state and state not in options.states.split(','):
          continue
        found = [commands.timed(name, state) for _ in range(options.repeats)]
        best = min(found, key=lambda one: one['cpu'])
        kinds = [f'{best[k]:.2f}' if k in best else '' for k in KINDS]
        seconds = f'{best["cpu"]:.2f}', f'{best["wall"]:.2f}'
        print(_line([name, state, *seconds, *kinds]), flush=True)


if __name__ == '__main__':
  main()
