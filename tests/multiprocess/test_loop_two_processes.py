"""Two processes joined on loopback share one loop."""

import json
import sys

import numpy as np

from configs import segxal_unet
from segxal_jax.loop.driver import run_loop
from tests.e2e import tiny
from tests.multiprocess import joined

CACHE = tiny.ROOT / '.pytest_cache' / 'compiled'
SHRUNK = {
  'image_size': (32, 64),
  'width': 0.0625,
  'batch_size': 4,
  'data.num_train': 12,
  'data.num_validation': 4,
  'data.num_test': 4,
  'data.validation_split': '',
  'pool.num_initial': 4,
  'pool.num_query': 2,
  'phase1_steps': 2,
  'optimizer.poly_steps': 2,
  'stop.cycles': 1,
  'eval.batch_size': 4,
  'report.num_watched': 0,
  # Explained without a backward pass: compiles fastest.
  'cam.layer': 'block1',
}


def _ledger(workdir):
  text = (workdir / 'pool' / 'ledger.jsonl').read_text()
  return [json.loads(line) for line in text.splitlines()]


def _scores(workdir):
  return dict(np.load(workdir / 'cycles' / '001' / 'scores.npz'))


def test_two_processes_pick_what_one_picks(tmp_path):
  fields = SHRUNK | {
    'data.cache_dir': str(tmp_path / 'data'),
    'compilation_cache_dir': str(CACHE),
  }
  workdir, alone = tmp_path / 'two', tmp_path / 'one'
  argv = [
    sys.executable,
    'main.py',
    '--config=configs/segxal_unet.py:streets',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
  ]
  results = joined.finish(joined.start(argv))
  assert [code for code, _, _ in results] == [0, 0], results
  # Process 0 alone asks; both train on what came of it.
  assert 'cycle 1  annotate' not in results[1][2]
  assert 'cycle 2  train  6 labelled images' in results[1][2]
  # Process 0 alone reports; both say what it reports.
  assert 'mIoU' in results[0][1] and 'mIoU' not in results[1][1]
  told = [
    [line for line in err.splitlines() if 'of 12 images labelled' in line]
    for _, _, err in results
  ]
  assert told[0] == told[1] and '6 of 12 images' in told[0][-1]
  metrics = tiny.metrics(workdir)
  assert metrics['environment']['processes'] == 2
  assert metrics['stopped'] == '1 cycle is done'
  # Each process looked at a part of the pool. One alone, which looks at all
  # of it, finds the same scores, and the two highest are those asked about.
  config = segxal_unet.get_config('streets')
  config.update_from_flattened_dict(fields)
  run_loop(config, alone, until=(1, 'query'))
  ours, single = _scores(workdir), _scores(alone)
  np.testing.assert_array_equal(ours['index'], single['index'])
  np.testing.assert_allclose(ours['eem'], single['eem'], atol=1e-3)
  best = np.argsort(-single['eem'], kind='stable')[:2]
  asked = [
    x['index'] for x in _ledger(workdir) if x.get('cycle') == 1 and 'index' in x
  ]
  assert asked == single['index'][best].tolist()
