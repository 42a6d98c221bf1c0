"""Two processes joined on loopback make, stop and resume one comparison.

Its cells are plain runs: what holds for them holds for a run by itself.
"""

import json
import signal

import numpy as np

from tests.e2e import tiny
from tests.multiprocess import joined

_COMPARISON = {
  'config': 'configs/compare_fcn8.py',
  # Another test set would tell nothing more, and costs four evaluations.
  'eval__datasets': "('streets/day',)",
  'eval__detectors': "('fsnet','msp')",
  'compare__seeds': '(0,)',
  # Several processes look for signals every ten steps.
  'phase1_steps': '12',
  # Learns from the k-fold predictions, of which each process makes its own.
  'compare__fitted': "('direct',)",
  'compare__ablation__num_seeds': '0',
  'compare__resamples': '40',
  'fit__num_folds': '2',
  'fit__direct__steps': '3',
}
_METHODS = ('msp', 'fsnet', 'direct', 'direct_msp')


def _compared(workdir):
  """`compare.json` of the finished comparison."""
  return json.loads((workdir / 'report' / 'compare.json').read_text())


def test_compare_stop_and_resume(shared, tmp_path):
  workdir = tmp_path / 'run'
  # First a command that is stopped: the signal reaches one process only.
  argv = tiny.command(shared, workdir, **_COMPARISON)
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
  assert 'resuming from step 10' in results[0][2]
  # Only process 0 reports.
  assert 'AUROC' in results[0][1] and 'AUROC' not in results[1][1]
  cell = workdir / 'seed0' / 'fsnet'
  metrics = tiny.metrics(cell)
  assert metrics['environment']['processes'] == 2
  assert metrics['environment']['step'] == 18
  entry = metrics['datasets']['streets/day']
  assert entry['images'] == 10
  together = _compared(workdir)
  # One process evaluating the same networks counts the same pixels.
  (cell / 'report' / 'comparison.json').unlink()
  alone = tiny.run(argv)
  assert alone.returncode == 0, alone.stderr
  assert 'training step' not in alone.stderr
  single = tiny.metrics(cell)
  assert single['environment']['processes'] == 1
  single = single['datasets']['streets/day']
  assert single['pixels'] == entry['pixels']
  for name in _METHODS:
    np.testing.assert_allclose(
      single['failure'][name]['pooled']['auroc'],
      entry['failure'][name]['pooled']['auroc'],
      atol=1e-3,
    )
    _same_difference(
      single['failure'][name]['difference_to_msp'],
      entry['failure'][name]['difference_to_msp'],
    )
  _same_intervals(together, _compared(workdir))


def _same_difference(first, second):
  """What a report says of a detector and MSP; None for MSP itself."""
  assert (first is None) == (second is None)
  for metric in first or {}:
    one, other = first[metric], second[metric]
    assert (one['units'], one['unit']) == (other['units'], other['unit'])
    for bound in ('difference', 'low', 'high'):
      np.testing.assert_allclose(one[bound], other[bound], atol=3e-3)


def _same_intervals(first, second):
  """The draws over images are the same, whoever counted which image."""
  first, second = (
    one['datasets']['streets/day']['differences'] for one in (first, second)
  )
  assert first.keys() == second.keys() == set(_METHODS) - {'fsnet'}
  for name, entry in first.items():
    for bound in ('low', 'high'):
      np.testing.assert_allclose(
        entry['auroc'][bound], second[name]['auroc'][bound], atol=2e-3
      )
