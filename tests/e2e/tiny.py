"""The shipped config, shrunk, run as a user runs it: in its own process.

Processes share their compiled programs with the tests' own, and with the next
run of the suite.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.e2e import forks
from tests.paths import COMPILED, ROOT

# Far above what a run takes; it only ends a run that hangs.
_PATIENCE_SECS = 900

SHRUNK = {
  'image_size': '(32,64)',
  'width': '0.05',
  'batch_size': '8',
  'segmentation.head_width': '32',
  # The variant of F that compiles fastest.
  'failure.blocks': '1',
  'failure.branches': 'single',
  'failure.decoder': 'four_scale',
  'phase1_steps': '6',
  'phase2_steps': '6',
  'phase3_steps': '4',
  # Two devices share it.
  'fit.pixel.batch_size': '8',
  'checkpoint_every_steps': '4',
  'log_every_steps': '2',
  'data.num_train': '16',
  'data.num_validation': '8',
  'data.num_test': '10',
  'eval.datasets': "('streets/day','streets/fog')",
  'eval.num_examples': '2',
}


def command(
  shared: Path,
  workdir: Path,
  *flags: str,
  config: str = 'configs/fsnet_fcn8.py',
  **changes,
) -> list[str]:
  """argv of a shrunken demo; `a__b=1` in changes sets config.a.b."""
  fields = SHRUNK | {
    'data.cache_dir': str(shared / 'data'),
    'compilation_cache_dir': str(COMPILED),
  }
  fields |= {key.replace('__', '.'): str(v) for key, v in changes.items()}
  return [
    sys.executable,
    'main.py',
    f'--config={config}',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
    *flags,
  ]


def environment(devices: int = 1) -> dict[str, str]:
  """The environment of a run on so many CPU devices."""
  return os.environ | {
    'JAX_NUM_CPU_DEVICES': str(devices),
    'JAX_PLATFORMS': 'cpu',
  }


def run(argv: list[str], devices: int = 1) -> subprocess.CompletedProcess:
  """Runs to the end and returns output and exit code."""
  process = forks.start(argv, environment(devices))
  out, err = process.communicate(_PATIENCE_SECS)
  return subprocess.CompletedProcess(argv, process.returncode, out, err)


def run_anew(argv: list[str]) -> subprocess.CompletedProcess:
  """The same in a process that imports all by itself, as a user starts it."""
  return subprocess.run(
    argv,
    cwd=ROOT,
    env=environment(),
    capture_output=True,
    text=True,
    timeout=_PATIENCE_SECS,
  )


def run_and_signal(
  argv: list[str], words: str, number: signal.Signals, devices: int = 1
) -> tuple[int, str]:
  """Sends a signal once stderr has a line with `words`."""
  seen = []
  started = time.monotonic()
  process = forks.start(argv, environment(devices))
  for line in process.stderr:
    seen.append(line)
    if words in line:
      process.send_signal(number)
      break
    assert time.monotonic() - started < _PATIENCE_SECS, ''.join(seen)
  seen.append(process.communicate(_PATIENCE_SECS)[1])
  return process.returncode, ''.join(seen)


def metrics(workdir: Path) -> dict:
  """`metrics.json` of a run."""
  return json.loads((workdir / 'report' / 'metrics.json').read_text())


def evaluation(workdir: Path) -> Path:
  """The folder of the only evaluation of a finished run."""
  (folder,) = (workdir / 'evaluations').iterdir()
  return folder
