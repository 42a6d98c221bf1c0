"""How many labels F needs: cells that resume, and numbers that are theirs."""

import json
import sys

from tests.e2e import tiny
from tests.paths import COMPILED


def _labels(shared, workdir, *flags, run=tiny.run):
  fields = tiny.SHRUNK | {
    'data.cache_dir': str(shared / 'data'),
    'compilation_cache_dir': str(COMPILED),
    'eval.datasets': "('streets/day',)",
    'fit.class_logistic.steps': '2',
    # S takes as many steps; F of the joint phase is not shown by itself.
    'phase1_steps': '12',
    'phase2_steps': '0',
  }
  argv = [
    sys.executable,
    *('-m', 'benchmarks.monitor.labels_needed'),
    '--config=configs/fsnet_fcn8.py',
    f'--workdir={workdir}',
    *(f'--config.{name}={value}' for name, value in fields.items()),
    *flags,
  ]
  return run(argv)


def test_each_number_of_images_is_a_run_of_its_own(shared, tmp_path):
  first = _labels(shared, tmp_path, '--images=8,16', run=tiny.run_anew)
  assert not first.returncode, first.stderr
  table = json.loads((tmp_path / 'labels.json').read_text())['streets/day']
  assert set(table) == {'8', '16'}
  for images, point in table.items():
    cell = tmp_path / f'images{images}' / 'seed0'
    config = json.loads((cell / 'config.json').read_text())
    assert config['data']['num_train'] == int(images)
    metrics = json.loads((cell / 'report' / 'metrics.json').read_text())
    failure = metrics['datasets']['streets/day']['failure']
    for name in ('fsnet', 'fsnet_pixel', 'class_logistic'):
      less = (
        failure[name]['pooled']['auroc'] - failure['msp']['pooled']['auroc']
      )
      assert point[name]['auroc'] == [100 * less]
  assert (tmp_path / 'labels.png').read_bytes().startswith(b'\x89PNG')

  # One S for both, frozen: what the smaller of them has trained.
  over = _labels(
    shared,
    tmp_path / 'over',
    '--images=16',
    f'--segmentation={tmp_path}/images8/seed0',
  )
  assert not over.returncode, over.stderr
  frozen = json.loads((tmp_path / 'over' / 'labels.json').read_text())
  rate = frozen['streets/day']['16']['error_rate']
  assert rate == table['8']['error_rate']
  assert rate != table['16']['error_rate']

  again = _labels(shared, tmp_path, '--images=8,16')
  assert again.stdout.splitlines()[-3:] == first.stdout.splitlines()[-3:]
  assert 'step' not in again.stdout

  # What is finished is not taken for that of another config.
  other = _labels(shared, tmp_path, '--images=8', '--config.phase3_steps=5')
  assert other.returncode == 2, other.stderr
  assert 'phase3_steps' in other.stderr


def test_a_mistake_is_one_sentence(shared, tmp_path):
  found = _labels(shared, tmp_path, '--images=8', '--bogus=1')
  assert found.returncode == 2
  assert "unexpected argument '--bogus=1'" in found.stderr
  assert 'Traceback' not in found.stderr
