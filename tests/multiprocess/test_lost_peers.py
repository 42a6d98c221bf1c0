"""One of two processes is killed: the other one says so, and can go on."""

import signal
import socket
import subprocess
import sys

import pytest

from tests.e2e import tiny

_PROGRAM = """
import sys
from common_lib import interrupts
interrupts.watch('before training')
from fsnet_jax.runtime import distributed
from fsnet_jax.runtime.cluster import lost_peers

def work():
  with interrupts.Section('in phase 1 after step 3'), lost_peers.noticed():
    for number in range(10**6):
      distributed.barrier(f'step {number}')
      if number == 3:
        print('step 3', flush=True)

sys.exit(distributed.exit_code(work, sys.argv[1], 2, int(sys.argv[2])))
"""


# Process 0 keeps the service that all ask for each other.
@pytest.mark.parametrize('killed', [0, 1])
def test_a_killed_process_ends_the_others_with_a_sentence(killed):
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    address = f'127.0.0.1:{probe.getsockname()[1]}'
  processes = [
    subprocess.Popen(
      [sys.executable, '-c', _PROGRAM, address, str(number)],
      cwd=tiny.ROOT,
      env=tiny.environment(),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for number in range(2)
  ]
  try:
    for process in processes:
      for line in process.stdout:
        if line == 'step 3\n':
          break
    processes[killed].send_signal(signal.SIGKILL)
    processes[killed].communicate()
    _, said = processes[1 - killed].communicate(timeout=120)
  finally:
    for process in processes:
      process.kill()
  assert processes[1 - killed].returncode == 75, said
  assert 'waiting for 2 processes at 127.0.0.1:' in said
  last = said.strip().splitlines()[-1]
  assert last.startswith('Another process of this run has ended'), said
  assert 'in phase 1 after step 3: look at' in last
  assert 'Traceback' not in said and 'stack trace' not in said
