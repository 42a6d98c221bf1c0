"""What a run is of: device, driver, versions, date; and whether it can be.

    python -m benchmarks.gpu.machine --json=machine.json

Exit code 2, and one sentence, if a package is missing that every part needs, or
there is no GPU and `--needs_gpu=yes` (the default). What some parts need is
named, too, and their rows will be missing. Imports nothing of this project.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import importlib.util
import json
import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

NEEDED = ('jax', 'flax', 'optax', 'numpy', 'jaxtyping')
# Of some parts: the module, the package, and what is left out without it.
SOME = (
  ('torch', 'torch', "PyTorch's rows"),
  ('sklearn', 'scikit-learn', 'the failure metrics'),
  (
    'efficientnet_lite_pytorch',
    'efficientnet-lite-pytorch',
    "PyTorch's rows of the EfficientNet U-Net",
  ),
)


def missing(names: tuple[str, ...]) -> list[str]:
  """Modules of these that cannot be imported."""
  return [name for name in names if importlib.util.find_spec(name) is None]


def without() -> list[str]:
  """A sentence for each package that some parts lack."""
  return [
    f'{package} is not installed: without {what}.'
    for module, package, what in SOME
    if missing((module,))
  ]


def _said(*command: str) -> str:
  """The first line of what a command prints; empty if it cannot be run."""
  try:
    done = subprocess.run(
      command, capture_output=True, text=True, timeout=30, check=False
    )
  except (OSError, subprocess.TimeoutExpired):
    return ''
  lines = done.stdout.strip().splitlines()
  return lines[0] if lines and done.returncode == 0 else ''


def _processor() -> str:
  """Its name, where the system tells."""
  path = Path('/proc/cpuinfo')
  names = []
  if path.exists():
    lines = path.read_text().splitlines()
    names = [line for line in lines if line.startswith('model name')]
  name = names[0].split(':')[1].strip() if names else platform.machine()
  return f'{name}, {os.cpu_count()} CPUs'


def describe() -> dict[str, Any]:
  """Device, driver, versions, date and commit, all as text."""
  import jax

  device = jax.devices()[0]
  found = {
    'device': device.device_kind,
    'backend': jax.default_backend(),
    'driver': _said(
      'nvidia-smi', '--query-gpu=driver_version', '--format=csv,noheader'
    ),
    'memory': _said(
      'nvidia-smi', '--query-gpu=memory.total', '--format=csv,noheader'
    ),
    'processor': _processor(),
    'python': platform.python_version(),
    'date': datetime.datetime.now(datetime.UTC).strftime('%Y-%m-%d %H:%M UTC'),
    'commit': _said('git', 'rev-parse', '--short', 'HEAD'),
  }
  for package in ('jax', 'jaxlib', 'flax', 'optax', 'numpy', 'torch'):
    if not missing((package,)):
      found[package] = importlib.metadata.version(package)
  if not missing(('torch',)):
    import torch

    found['torch CUDA'] = torch.version.cuda or 'none'
  return {**found, 'without': without()}


def _refuse(why: str) -> int:
  print(f'error: {why}', file=sys.stderr)
  return 2


def main() -> int:
  """Writes the description."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--json', required=True, help='file for it')
  parser.add_argument('--needs_gpu', default='yes', choices=('yes', 'no'))
  options = parser.parse_args()
  lacking = missing(NEEDED)
  if lacking:
    return _refuse(
      f'{", ".join(lacking)} cannot be imported by {sys.executable}: run '
      f'`{sys.executable} -m pip install {" ".join(lacking)}`, or name another '
      'Python in PYTHON.'
    )
  try:
    found = describe()
  except RuntimeError as problem:
    return _refuse(f'jax finds no device: {problem}')
  if options.needs_gpu == 'yes' and found['backend'] == 'cpu':
    return _refuse(
      'jax finds no GPU: install its CUDA build (`pip install "jax[cuda13]"`), '
      'unset JAX_PLATFORMS, or try every part on the CPU with --tiny.'
    )
  Path(options.json).write_text(json.dumps(found, indent=1))
  for name, value in found.items():
    print(f'{name}: {value}')
  return 0


if __name__ == '__main__':
  sys.exit(main())
