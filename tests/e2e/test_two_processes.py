"""Two processes joined on loopback train, stop and resume one run."""

import signal

import numpy as np

from tests.e2e import joined, tiny

# Another test set would tell nothing more, and costs four evaluations.
_ONE_SET = {'eval__datasets': "('streets/day',)"}


def test_train_checkpoint_and_resume(shared, tmp_path):
  workdir = tmp_path / 'run'
  # First a run that is stopped: the signal reaches one process only.
  argv = tiny.command(shared, workdir, **_ONE_SET)
  processes = joined.start(argv)
  for line in processes[0].stderr:
    if 'phase 1  step 2/' in line:
      processes[1].send_signal(signal.SIGTERM)
      break
  results = joined.finish(processes)
  assert [code for code, _, _ in results] == [75, 75], results
  # Then the same command again, to the end.
  results = joined.finish(joined.start(argv))
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
  alone = tiny.run(tiny.command(shared, workdir, '--mode=evaluate', **_ONE_SET))
  assert alone.returncode == 0, alone.stderr
  single = tiny.metrics(workdir)['datasets']['streets/day']
  assert single['pixels'] == entry['pixels']
  for name in ('msp', 'fsnet'):
    np.testing.assert_allclose(
      single['failure'][name]['pooled']['auroc'],
      entry['failure'][name]['pooled']['auroc'],
      atol=1e-3,
    )
