"""The number of devices is set before JAX starts: a process of its own."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_four_devices_give_what_one_gives():
  environment = {
    **os.environ,
    'JAX_NUM_CPU_DEVICES': '4',
    'JAX_PLATFORMS': 'cpu',
  }
  result = subprocess.run(
    [
      sys.executable,
      '-W',
      'error',
      '-m',
      'tests.fsnet_jax.models.mesh_program',
    ],
    env=environment,
    capture_output=True,
    text=True,
    timeout=300,
  )
  assert result.returncode == 0, result.stderr
  assert result.stdout.strip() == 'agreed'
