"""The command that holds explanations against PyTorch's."""

import os
import re
import subprocess
import sys


def _run(*arguments):
  return subprocess.run(
    [
      sys.executable,
      '-m',
      'benchmarks.explain',
      '--image_size=32,64',
      '--batch_size=1',
      '--width=0.0625',
      '--rounds=1',
      '--steps=1',
      '--forms=',
      *arguments,
    ],
    capture_output=True,
    text=True,
    timeout=200,
    env=os.environ | {'JAX_PLATFORMS': 'cpu'},
    check=False,
  )


def test_both_sides_come_to_the_same():
  ran = _run('--tasks=forward,map', '--contenders=jax,torch')
  assert ran.returncode == 0, ran.stderr
  for task in ('forward', 'map'):
    (line,) = re.findall(rf'^{task} .*$', ran.stdout, re.MULTILINE)
    ours, _, theirs, _, ratio, differ, _ = line.split()[1:]
    assert float(ratio) > 0 and float(ours) > 0 and float(theirs) > 0
    assert float(differ) <= 1e-4


def test_a_process_that_fails_ends_the_command():
  ran = _run('--tasks=nothing', '--contenders=jax,torch')
  assert ran.returncode
  assert 'KeyError' in ran.stderr
