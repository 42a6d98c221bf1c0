"""Two processes joined on loopback train, stop and resume one run."""

import signal
import socket
import subprocess

import numpy as np

from tests.e2e import tiny


def _free_port() -> int:
  with socket.socket() as probe:
    probe.bind(('127.0.0.1', 0))
    return probe.getsockname()[1]


def _start(shared, workdir) -> list[subprocess.Popen]:
  port = _free_port()
  return [
    subprocess.Popen(
      tiny.command(
        shared,
        workdir,
        f'--coordinator_address=127.0.0.1:{port}',
        '--num_processes=2',
        f'--process_id={index}',
      ),
      cwd=tiny.ROOT,
      env=tiny.environment(),
      stdout=subprocess.PIPE,
      stderr=subprocess.PIPE,
      text=True,
    )
    for index in range(2)
  ]


def _finish(processes) -> list[tuple[int, str, str]]:
  outputs = [process.communicate(timeout=900) for process in processes]
  return [
    (process.returncode, out, err)
    for process, (out, err) in zip(processes, outputs)
  ]


def test_train_checkpoint_and_resume(shared, tmp_path):
  workdir = tmp_path / 'run'
  # First a run that is stopped: the signal reaches one process only.
  processes = _start(shared, workdir)
  for line in processes[0].stderr:
    if 'phase 1  step 2/' in line:
      processes[1].send_signal(signal.SIGTERM)
      break
  results = _finish(processes)
  assert [code for code, _, _ in results] == [75, 75], results
  # Then the same command again, to the end.
  results = _finish(_start(shared, workdir))
  assert [code for code, _, _ in results] == [0, 0], results
  assert 'resuming from step' in results[0][2]
  # Only process 0 reports.
  assert 'AUROC' in results[0][1] and 'AUROC' not in results[1][1]
  metrics = tiny.metrics(workdir)
  assert metrics['environment']['processes'] == 2
  assert metrics['environment']['step'] == 12
  entry = metrics['datasets']['streets/day']
  assert entry['images'] == 10
  # One process evaluating the same checkpoint counts the same pixels.
  alone = tiny.run(tiny.command(shared, workdir, '--mode=evaluate'))
  assert alone.returncode == 0, alone.stderr
  single = tiny.metrics(workdir)['datasets']['streets/day']
  assert single['pixels'] == entry['pixels']
  for name in ('msp', 'fsnet'):
    np.testing.assert_allclose(
      single['failure'][name]['pooled']['auroc'],
      entry['failure'][name]['pooled']['auroc'],
      atol=1e-3,
    )
