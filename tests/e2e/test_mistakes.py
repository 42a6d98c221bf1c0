"""A user's mistakes: one sentence, no traceback, exit code 2, nothing lost."""

import shutil
import subprocess

import pytest

from tests.e2e import tiny

CONFIG = '--config=configs/fsnet_fcn8.py'


def _check(result, *words):
  assert result.returncode == 2, result.stderr
  assert 'Traceback' not in result.stderr
  lines = [
    line for line in result.stderr.splitlines() if line.startswith('error: ')
  ]
  assert len(lines) == 1, result.stderr
  for word in words:
    assert word in lines[0]
  assert 'compiling' not in result.stderr


@pytest.mark.parametrize(
  ('flags', 'words'),
  [
    ([], ['--config is missing']),
    ([CONFIG, '--worksdir=x'], ['worksdir']),
    ([CONFIG, '--config.bach_size=4'], ['bach_size', 'batch_size']),
    ([CONFIG, '--config.batch_size=many'], ['batch_size', 'many']),
    ([CONFIG, '--config.data.nme=x'], ['data.nme', 'name?']),
    ([CONFIG, '--mode=trian'], ['mode', 'trian']),
    (['--config=configs/nothing.py'], ['configs/nothing.py']),
    ([CONFIG + ':kitti'], ['kitti', 'camvid']),
    ([CONFIG, 'evaluate'], ['evaluate']),
    ([CONFIG, '--config.batch_size=0'], ['config.batch_size']),
    ([CONFIG, '--config.image_size=(60,128)'], ['multiples of 32']),
    ([CONFIG, '--config.data.name=kitti'], ['kitti']),
    ([CONFIG, '--config.data.augment=("flop",)'], ['flop']),
    ([CONFIG + ':camvid'], ['data.root']),
    (
      [CONFIG + ':camvid', '--config.data.root=/no/such/folder'],
      ['/no/such/folder'],
    ),
    (
      [CONFIG, '--config.init.backbone=vgg.npz'],
      ['config.init.backbone', 'config.width'],
    ),
    ([CONFIG, '--process_id=1'], ['--coordinator_address']),
  ],
  ids=lambda value: ' '.join(value[-1:]) if isinstance(value, list) else '',
)
def test_mistake_is_one_sentence(flags, words, tmp_path):
  argv = tiny.command(tmp_path, tmp_path / 'run')[:2]
  argv += [f'--workdir={tmp_path / "run"}', *flags]
  if any(flag.startswith(CONFIG) for flag in flags):
    argv.append(f'--config.data.cache_dir={tmp_path / "data"}')
  _check(tiny.run(argv), *words)
  assert not (tmp_path / 'run').exists()


def test_evaluate_without_checkpoint(shared, tmp_path):
  argv = tiny.command(shared, tmp_path / 'run', '--mode=evaluate')
  _check(tiny.run(argv), 'no checkpoint', str(tmp_path / 'run'))
  # The folder is free for the command that was meant.
  assert not (tmp_path / 'run').exists()


def test_workdir_of_another_config(finished, shared):
  argv = tiny.command(shared, finished[0], seed=3)
  _check(tiny.run(argv), "another config's run", 'seed was 0 and is now 3')


def test_batch_that_the_devices_cannot_share(shared, tmp_path):
  argv = tiny.command(shared, tmp_path / 'run', batch_size=6)
  _check(tiny.run(argv, devices=4), 'config.batch_size', 'multiple of 4')


def test_divergence_is_explained_and_owns_nothing(shared, tmp_path):
  for rate in (1e30, 1e31):
    argv = tiny.command(
      shared,
      tmp_path / 'run',
      optimizer__learning_rate=rate,
      optimizer__clip_norm=0.0,
      segmentation__input_scale=1.0,
    )
    result = tiny.run(argv)
    assert result.returncode == 2, result.stderr
    assert 'Traceback' not in result.stderr
    assert 'config.optimizer.learning_rate' in result.stderr
    assert "another config's run" not in result.stderr


def test_a_folder_that_is_deleted_under_a_run_stays_deleted(shared, tmp_path):
  run = tmp_path / 'run'
  # A save that is going on fails in ways of its own, and says so.
  far = 100_000
  argv = tiny.command(shared, run, phase1_steps=far, checkpoint_every_steps=far)
  with subprocess.Popen(
    argv,
    cwd=tiny.ROOT,
    env=tiny.environment(),
    stderr=subprocess.PIPE,
    text=True,
  ) as process:
    said = []
    for line in process.stderr:
      said.append(line)
      if 'phase 1  step 6' in line:
        shutil.rmtree(run)
        break
    said.append(process.stderr.read())
    assert process.wait() == 2, ''.join(said)
  assert 'Traceback' not in ''.join(said)
  last = said[-1].splitlines()[-1]
  assert last.startswith('error: --workdir=') and 'deleted or replaced' in last
  assert not run.exists()
